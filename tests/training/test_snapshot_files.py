"""Snapshots of the student as files that checkpoints refer to: written once, never missing after a kill."""

import os
from pathlib import Path

import pytest
import torch
from daily import some
from test_trainer import Killed, assert_same, flip, killed_at, make, outcome

from qcrd.storage import tensors
from qcrd.training import checkpoint, trainer

LAG = 2  # of `make`: three snapshots are kept
KINDS = ["before", "after"]
POINTS = 7  # renames and deletions while a checkpoint is saved


@pytest.fixture
def eager(monkeypatch):
    """A checkpoint at every iteration."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "CHECKPOINT_SHARE", float("inf"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    one = make(tmp_path_factory.mktemp("undisturbed"))
    one.run()
    return outcome(one)


def snapshots(folder):
    return sorted(path.name for path in folder.glob("snapshot-*"))


def test_each_snapshot_is_written_once_and_checkpoints_have_no_copy_of_it(eager, tmp_path, monkeypatch):
    written, save = [], tensors.save_file

    def noted(content, path, metadata):
        written.append((Path(path).name.removeprefix(".").split(".")[0], content))
        save(content, path, metadata)

    monkeypatch.setattr(tensors, "save_file", noted)
    make(tmp_path).run()
    names = [name for name, _ in written if name.startswith("snapshot-")]
    assert len(names) == len(set(names)) == 6, "one for each iteration"
    size = sum(t.numel() for t in next(c for name, c in written if name in names).values())
    last = [content for name, content in written if name.startswith("checkpoint-")][-1]
    kinds = {name.partition(".")[0] for name in last}
    assert kinds == {"optimizer", "objective"}
    moments = sum(
        t.numel() for name, t in last.items() if name.startswith("optimizer.") and "exp_avg" in name
    )
    assert moments == 2 * size
    # Two checkpoints of three snapshots each, two of them in common.
    assert [name[:17] for name in snapshots(tmp_path)] == [f"snapshot-0000000{i}" for i in (2, 3, 4, 5)]
    checkpoint.clear(tmp_path)
    assert not list(tmp_path.glob("*-*"))


def test_without_self_play_a_checkpoint_has_the_student_in_it(eager, tmp_path):
    make(tmp_path, method="morsd").run()
    assert not snapshots(tmp_path)
    newest = next(checkpoint.intact(tmp_path))
    assert any(name.startswith("student.") for name in newest.tensors) and newest.snapshots == {}


def killed_in_save(folder, monkeypatch, iteration, point, when):
    """Train to the save of `iteration`, and die at its n-th rename or deletion; whether it came to that."""
    count, dead = -1, False
    save = checkpoint.save

    def act(action):
        def counted(*arguments, **options):
            nonlocal count, dead
            if dead:
                raise Killed  # a dead process tidies nothing up
            count += count >= 0
            dead = count == point + 1
            if dead and when == "before":
                raise Killed
            result = action(*arguments, **options)
            if dead:
                raise Killed
            return result

        return counted

    def saving(folder, number, *arguments):
        nonlocal count
        count = 0 if number == iteration else -1
        names = save(folder, number, *arguments)
        count = -1
        return names

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", saving)
        patch.setattr(os, "replace", act(os.replace))
        patch.setattr(Path, "unlink", act(Path.unlink))
        try:
            make(folder).run()
        except Killed:
            return True
    return False


@pytest.mark.parametrize(
    "point, when",
    some([(p, w) for p in range(POINTS) for w in KINDS], [(0, "after"), (2, "after"), (5, "before")]),
)
def test_a_kill_at_any_point_of_a_save_leaves_a_checkpoint_with_all_its_snapshots(
    eager, undisturbed, tmp_path, monkeypatch, point, when
):
    died = killed_in_save(tmp_path, monkeypatch, 4, point, when)
    assert died == (point < POINTS - 1), "the last one is behind the end"
    newest = next(checkpoint.intact(tmp_path))
    assert newest.metadata["iteration"] >= 3 or not died
    assert set(newest.snapshots) == {newest.metadata["iteration"] - i for i in range(LAG + 1)}
    one = make(tmp_path)
    one.run()
    assert_same(outcome(one), undisturbed)
    named = {name for each in checkpoint.intact(tmp_path) for name in each.names.values()}
    assert set(snapshots(tmp_path)) == named, "what the killed attempt left is gone"


@pytest.mark.parametrize("which", [-1, -2])
@pytest.mark.parametrize("how", ["flipped", "gone"])
def test_a_damaged_snapshot_costs_time_and_no_figure(eager, undisturbed, tmp_path, caplog, which, how):
    killed_at(tmp_path, 10)
    victim = tmp_path / snapshots(tmp_path)[which]
    if how == "flipped":
        flip(victim)
    else:
        victim.unlink()
    # The newest is of the newest checkpoint alone; the one before it is of both.
    assert len(list(checkpoint.intact(tmp_path))) == (1 if which == -1 else 0)
    assert victim.name in caplog.text and "using the checkpoint before it" in caplog.text
    one = make(tmp_path)
    one.run()
    assert_same(outcome(one), undisturbed)


def test_another_attempts_snapshot_of_the_same_iteration_is_not_replaced(tmp_path):
    first, second = ({"w": torch.full((2,), value)} for value in (1.0, 2.0))
    names = checkpoint.save(tmp_path, 1, {}, {}, {1: first}, {})
    other = checkpoint.save(tmp_path, 2, {}, {}, {1: second}, {})
    assert names != other
    found = [each.snapshots[1]["w"].tolist() for each in checkpoint.intact(tmp_path)]
    assert found == [[2.0, 2.0], [1.0, 1.0]]


def test_a_training_that_a_version_with_snapshots_in_its_checkpoints_began_goes_on(
    eager, undisturbed, tmp_path
):
    killed_at(tmp_path, 9)
    for path in sorted(tmp_path.glob("checkpoint-*")):
        content, facts = tensors.load(path)
        for number, name in facts.pop("snapshots").items():
            weights, _ = tensors.load(tmp_path / name)
            content |= {f"snapshot.{number}.{each}": tensor.clone() for each, tensor in weights.items()}
            if int(number) == facts["iteration"]:
                content |= {f"student.{each}": tensor for each, tensor in weights.items()}
        tensors.save(path, content, facts)
    for name in snapshots(tmp_path):
        (tmp_path / name).unlink()
    steps = []
    one = make(tmp_path, report=lambda progress: steps.append(progress.step))
    one.run()
    assert steps[0] > 6
    assert_same(outcome(one), undisturbed)
