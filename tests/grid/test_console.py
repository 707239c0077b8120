"""What a running grid prints, in a log and in a terminal."""

import os
import pty
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from qcrd.grid import console
from qcrd.grid.console import SamplingProgress, bar, duration, phase, say, status


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (7200, "2 h"), (1_350_000, "375 h")],
)
def test_times_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_a_terminals_bar_is_empty_at_the_beginning_and_full_at_the_end_and_logs_have_none(monkeypatch):
    assert bar(4, 8, "half") == "half"
    monkeypatch.setattr(console, "live", lambda: True)
    monkeypatch.setattr(console, "BAR", 4)
    bars = [bar(done, total, "x") for done, total in ((0, 0), (0, 8), (4, 8), (9, 8))]
    assert bars == ["╌╌╌╌ x", "╌╌╌╌ x", "━━╌╌ x", "━━━━ x"]


def wait_for(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    assert what()


def test_a_log_gets_the_status_only_after_a_silence(capsys, monkeypatch):
    monkeypatch.setattr(console, "SILENCE", 0.1)
    printed = []

    def seen():
        printed.extend(capsys.readouterr().out.splitlines())
        return any("waiting: " in line for line in printed)

    with phase("waiting"):
        say("a line")
        wait_for(seen)
    assert printed[0] == "a line" and printed[1].startswith("  waiting: ")
    time.sleep(0.3)
    capsys.readouterr()
    time.sleep(0.3)
    assert capsys.readouterr().out == "", "the status has ended"


def test_an_inner_status_replaces_the_outer_one_while_it_lasts():
    def now():
        return console._screen._lines()

    with status(lambda: ["outer"]):
        with status(lambda: ["inner"]):
            assert now() == ["inner"]
        assert now() == ["outer"]
    assert console._screen._lines is None


def test_sampling_says_how_much_is_there_and_how_long_it_takes(capsys):
    progress = SamplingProgress(seconds=0)
    progress(10, 100, 9.0)
    progress(100, 100, 9.0)
    assert capsys.readouterr().out.splitlines() == [
        "teacher: 10 of 100 samples, 9/s, 10 s left",
        "teacher: 100 of 100 samples",
    ]
    assert re.match("teacher: 100 of 100 samples, 0 s so far", progress.lines()[0])


IN_TERMINAL = """
import time
from qcrd.grid.console import SamplingProgress, say, status
with status(lambda: ["cell a: step 3/9", "cell [b]: step 4/9"]):
    say("first [1/3] line")
    time.sleep(1)
    progress = SamplingProgress()
    progress(1, 9, 1.0)
    progress(9, 9, 1.0)
say("last line")
"""


@pytest.mark.slow
def test_a_terminal_has_lines_above_and_the_status_below_which_vanishes_at_the_end():
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL], stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    output = b""
    while True:
        try:
            chunk = os.read(controller, 4096)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        output += chunk
    os.close(controller)
    assert process.wait() == 0
    text = output.decode()
    assert text.count("first [1/3] line") == 1 and text.count("last line") == 1
    assert "cell a: step 3/9" in text and "cell [b]: step 4/9" in text
    assert "1 of 9 samples" not in text and text.count("teacher: 9 of 9 samples") == 1
    after = text[text.rindex("cell [b]") :]
    assert "\x1b[2K" in after, "the status is erased"
    assert "\x1b[?25h" in after, "the cursor is shown again"


def test_the_watch_has_the_grid_first_and_then_the_running_cells(capsys):
    from qcrd.grid.run.watch import SHOWN, CellWatch

    watch = CellWatch(30, 2)

    def report(name, **result):
        watch.on_trial_result(0, [], SimpleNamespace(config={"name": name}), result)

    for number in range(SHOWN + 2):
        report(f"cell {number}", step=50, steps=100, loss=0.5)
    report("cell 0", step=75, steps=100, loss=0.25, validation=40.0)
    lines = watch.lines()
    assert re.search(r"2 of 30 cells, \d+ s so far$", lines[0])
    assert re.search(r"^cell 0   step 75/100, loss 0.250, validation 40.0%, \d+ s left$", lines[1])
    assert lines[-1] == "and 2 more" and len(lines) == SHOWN + 2
    report("cell 0", status="done", test=41.25, seconds=70.0)
    assert re.match(r"\[3/30\] cell 0: test 41.2% in 1 min 10 s, 27 left, about", capsys.readouterr().out)
    assert "cell 0 " not in "\n".join(watch.lines())
