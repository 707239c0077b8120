import threading
import time

from qcrd.tracking.feeder import Feeder, Report

FINE, DOWN = Report(1, 0, None), Report(0, 5, "connection refused")


class Pushes:
    """Answers with the given reports in turn, then with the last for ever."""

    def __init__(self, *reports):
        self.reports = list(reports)
        self.times = []

    def __call__(self):
        self.times.append(time.monotonic())
        return self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_trouble_is_said_once_and_so_is_its_end():
    lines = []
    feeder = Feeder(Pushes(FINE, DOWN, DOWN, DOWN, FINE), 0.01, 0.02, say=lines.append)
    feeder.start()
    wait_for(lambda: len(lines) == 2)
    assert feeder.stop() == FINE
    assert "connection refused" in lines[0] and "answers again" in lines[1] and len(lines) == 2


def test_the_wait_grows_while_pushing_fails():
    push = Pushes(DOWN)
    feeder = Feeder(push, 0.02, 0.16, say=lambda line: None)
    feeder.start()
    wait_for(lambda: len(push.times) == 6)
    feeder.stop()
    waits = [later - earlier for earlier, later in zip(push.times, push.times[1:5], strict=False)]
    assert waits[0] >= 0.04 and waits[1] >= 0.08 and waits[2] >= 0.16 and waits[3] >= 0.16


def test_stopping_pushes_once_more_without_waiting_for_the_interval():
    push = Pushes(FINE)
    feeder = Feeder(push, interval=60)
    feeder.start()
    wait_for(lambda: push.times)
    assert feeder.stop(timeout=5) == FINE
    assert len(push.times) == 2


def test_a_push_that_hangs_does_not_hold_up_the_end():
    hang = threading.Event()
    feeder = Feeder(lambda: hang.wait() and FINE)
    feeder.start()
    assert feeder.stop(timeout=0.05) is None
    hang.set()
