"""A grid on machines that share nothing but a bucket: begun on one, ended on another, seen on a third."""

import json
import time

import pytest
from object_storage import names
from tiny_grid import Run, recorded_answers

from qcrd.grid.plan.study import Study
from qcrd.storage import journal
from qcrd.storage.home import Home
from qcrd.training import trainer

pytestmark = pytest.mark.slow

OFTEN = """
from qcrd.training import trainer

trainer.CHECKPOINT_SECONDS, trainer.CHECKPOINT_SHARE = 0.3, 1.0
"""
"""A plugin, which workers load too: checkpoints come so soon that a short training is enough."""


@pytest.fixture
def machines(s3, tmp_path, no_plugins, monkeypatch):
    """The same command line with a home of its own on each of three machines."""
    for name in ("CHECKPOINT_SECONDS", "CHECKPOINT_SHARE"):  # as they are, after commands in this process
        monkeypatch.setattr(trainer, name, getattr(trainer, name))
    answers, found = recorded_answers(tmp_path / "answers.jsonl"), []
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "often.py").write_text(OFTEN)
        rest = "product: {method: [dss]}\nplugins: [often.py]"
        run = Run(tmp_path / name, answers, rest, steps=900, every=300)
        run.environment |= {"QCRD_STORE": s3}
        found.append(run)
    return found


def test_a_grid_begun_on_one_machine_is_ended_on_another_and_seen_on_a_third(machines, s3):
    a, b, c = machines
    process = a.start("run", str(a.grid))
    home, first = Home.at(c.home, s3), a.plan()["cells"][0]["id"]
    _until(lambda: any("/checkpoint-" in name for name in names(s3)), process, 120)
    assert Study.open(c.grid, home).states() == ["running"]
    process.kill()  # and with it the machine: nothing more comes from there
    process.communicate()

    output = b("run", str(b.grid))
    assert "1/1" in output
    assert "samples" not in output, "what the first had drawn is not drawn again"

    assert "1 done" in c("status", str(c.grid))
    assert c("table", str(c.grid)) == b("table", str(b.grid))
    assert json.loads(c("samples", "ls", "--json"))[0]["samples"] > 0
    assert "test" in c("why", first)
    events = journal.read(home.cell(first) / journal.FILE)
    steps = [event.step for event in events if isinstance(event, journal.Metrics)]
    assert steps == sorted(steps) and steps[-1] == 900
    there = names(s3)
    assert not [name for name in there if "checkpoint-" in name or ".tmp" in name]
    assert any(name.startswith("grids/tiny/") and name.endswith("table.md") for name in there)


def test_a_store_that_cannot_be_used_is_said_before_anything_starts(machines):
    run = machines[0]
    run.environment |= {"QCRD_STORE": "s3://nobodys/folder"}
    output = run.here("run", str(run.grid), code=2)
    assert "no such bucket; create it" in output and "Ray" not in output
    assert "no such bucket" in run("doctor", code=1)


def _until(holds, process, seconds):
    end = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.5)
