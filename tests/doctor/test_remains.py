"""What killed runs, bad disks and clocks leave in a home."""

import os
import time

from echo_teacher import IDENTITY, LIMIT, Echo, asked, ignore

from qcrd.doctor import remains
from qcrd.samples.draw import draw
from qcrd.samples.store import SampleStore
from qcrd.storage.home import Home

LONG_AGO = time.time() - 10 * remains.AGE


def left(path, folder=False, changed=LONG_AGO):
    """A file (or a folder with one) that nobody has touched since."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder:
        path.mkdir()
        left(path / "state.json", changed=changed)
    else:
        path.write_text("x")
    os.utime(path, (changed, changed))
    return path


def leftovers(home):
    return sorted(remains.scan(home, time.time()).leftovers)


def test_what_nobody_has_touched_for_an_hour_is_left_over(tmp_path):
    home = Home(tmp_path)
    old = [
        left(home.cell("c1") / ".record.json.1a2b3c4d.tmp"),
        left(home.samples / "s1" / "x.parquet.damaged"),
        left(home.teachers / "e.0123.tmp", folder=True),
        left(home.grid("a") / "1a2b" / "tune", folder=True),
    ]
    left(home.cell("c1") / "record.json")
    left(home.cell("c2") / ".checkpoint.tmp", changed=time.time())
    left(home.grid("a") / "3c4d" / "tune", folder=True, changed=time.time())
    left(tmp_path / "local" / "ray.tmp")
    assert leftovers(home) == sorted(old)
    warned = [check for check in remains.order(home) if check.name == "leftovers"]
    assert warned[0].state == "warning" and str(old[0]) in warned[0].found


def test_a_home_in_order_has_nothing_to_tell(tmp_path):
    home = Home(tmp_path)
    left(home.cell("c1") / "record.json")
    assert {check.state for check in remains.order(home)} == {"ok"}
    assert {check.state for check in remains.order(Home(tmp_path / "absent"))} == {"ok"}


def test_a_clock_that_was_set_back_is_seen_by_what_is_newer(tmp_path):
    home = Home(tmp_path)
    path = left(home.cell("c1") / "record.json", changed=time.time() + 86400)
    clock = next(iter(remains.order(home)))
    assert clock.name == "clock" and clock.state == "warning" and str(path) in clock.found


def test_a_damaged_shard_is_an_error_and_one_put_aside_is_not(tmp_path):
    home = Home(tmp_path)
    store = SampleStore(home.samples, IDENTITY, LIMIT)
    draw(store, asked(3, 2), Echo(), ignore, commit=4)
    assert [check.state for check in remains.store(home)] == ["ok"]
    shard = next(store.folder.glob("*.parquet"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    (found,) = remains.store(home)
    assert found.state == "error" and str(shard) in found.found and "qcrd samples verify" in found.remedy
    shard.rename(shard.with_name(shard.name + remains.DAMAGED))
    assert [check.state for check in remains.store(home)] == ["ok"]
