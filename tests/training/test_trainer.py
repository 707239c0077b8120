"""The training loop: what a seed determines, what a kill may cost, and how it ends when it diverges."""

import json
import logging

import pytest
import torch
from daily import some
from safetensors.torch import load_file
from small import arithmetic_questions, lengths, objective_of, small_discriminator, small_student, two_sided

from qcrd import config, tasks
from qcrd.errors import Diverged
from qcrd.methods import METHODS
from qcrd.objectives.base import Stateless
from qcrd.seeds import derive, epoch_order
from qcrd.storage import journal as journals
from qcrd.storage.home import PREDICTIONS
from qcrd.storage.journal import Journal
from qcrd.student.weights import weights
from qcrd.training import checkpoint, trainer
from qcrd.training.evaluate import Evaluator
from qcrd.training.trainer import WEIGHTS, Trainer
from qcrd.types import Prediction

STEPS, BATCH, QUESTIONS = 12, 4, 8  # six iterations of two steps
SETTINGS = config.Training(steps=STEPS, batch=BATCH, lr=5e-3, evaluate_every=3)


SELECTED = [("morsd", "min_rd"), ("morsd", "random"), ("qcrd", "min_rd")]


class Killed(BaseException):
    """As a SIGKILL: nothing in the code under test catches it."""


def make(
    folder,
    seed=0,
    settings=SETTINGS,
    report=lambda progress: None,
    dropout=0.1,
    objective=None,
    method="qcrd",
    **given,
):
    questions = arithmetic_questions(QUESTIONS)
    sets, section = two_sided(questions), lengths(dropout=dropout)
    student = small_student(derive(seed, "init"), dropout=dropout)
    objective = objective or objective_of(
        method,
        student,
        questions,
        sets,
        small_discriminator(seed, update_steps=2),
        selfplay=config.SelfPlay(k=1, lag=2),
        section=section,
        seed=seed,
        delta=12.0,
        **given,
    )
    task = tasks.get("arithmetic")
    splits = task.load(config.Task(train=1, validation=12, test=8))
    evaluators = {
        name: Evaluator(student, task, METHODS["qcrd"], getattr(splits, name), section)
        for name in ("validation", "test")
    }
    ids = [q.id for q in questions]
    journal = Journal(folder / "journal.jsonl")
    return Trainer(student, objective, ids, settings, seed, evaluators, journal, folder, report, {"n": 1.0})


def figures(folder):
    """The journal's metrics without clock times."""
    return [
        (e.step, {k: v for k, v in e.values.items() if "second" not in k})
        for e in journals.read(folder / "journal.jsonl")
        if isinstance(e, journals.Metrics)
    ]


def outcome(one):
    one.journal.close()
    files = {name: (one.folder / name).read_bytes() for name in (PREDICTIONS, WEIGHTS)}
    return weights(one.student), one.objective.state(), files, str(figures(one.folder)), one.progress


def assert_same(first, second):
    for a, b in zip(first[:2], second[:2], strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert first[2] == second[2]
    assert first[3] == second[3]
    assert first[4] == second[4]


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


def killed_at(folder, step, **changes):
    """Run until the first report from `step` on, then die without any goodbye."""

    def report(progress):
        if progress.step >= step:
            raise Killed

    with pytest.raises(Killed):
        make(folder, report=report, **changes).run()


@pytest.mark.parametrize("iteration", some([1, 3, 6, None], [3]))
def test_an_iteration_is_told_the_questions_of_its_own_batches(iteration, tmp_path, monkeypatch):
    one = make(tmp_path, settings=SETTINGS.model_copy(update={"iteration": iteration, "steps": 8}))
    objective, events = one.objective, []
    begin, loss = objective.begin_iteration, objective.loss

    def told(number, snapshots, coming):
        events.append((list(coming), set()))
        return begin(number, snapshots, coming)

    def trained(batch, step):
        events[-1][1].update(batch)
        return loss(batch, step)

    monkeypatch.setattr(objective, "begin_iteration", told)
    monkeypatch.setattr(objective, "loss", trained)
    one.run()
    assert len(events) == -(-8 // (iteration or 2))
    assert all(coming == sorted(seen) for coming, seen in events)


@pytest.mark.parametrize("step", some([1, 5, 12], [5]))
def test_a_killed_and_resumed_training_is_the_undisturbed_one(eager, undisturbed, tmp_path, step):
    killed_at(tmp_path, step)
    one = make(tmp_path)
    one.run()
    assert_same(outcome(one), undisturbed)


@pytest.mark.slow
def test_a_training_killed_again_and_again_is_the_undisturbed_one(eager, undisturbed, tmp_path):
    for step in (3, 5, 7, 12):
        killed_at(tmp_path, step)
    one = make(tmp_path)
    one.run()
    assert_same(outcome(one), undisturbed)


@pytest.mark.parametrize(
    "method, rule",
    some([("morsd", "min_rd"), ("morsd", "random"), ("qcrd", "min_rd")], [("morsd", "min_rd")]),
)
def test_what_a_killed_training_selects_is_what_the_undisturbed_one_selects(eager, tmp_path, method, rule):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    how = {"method": method, "selection": config.Selection(rule=rule, n=1, diversity=False)}
    whole = make(tmp_path / "whole", **how)
    whole.run()
    taken = [[event[1].get("selection/rd_kept")] for event in figures(tmp_path / "whole")]
    assert len({str(each) for each in taken}) > (4 if rule == "min_rd" else 0), "it changes as it learns"
    for step in (3, 9):
        killed_at(tmp_path / "killed", step, **how)
    again = make(tmp_path / "killed", **how)
    again.run()
    assert_same(outcome(again), outcome(whole))


@pytest.mark.slow
def test_a_killed_training_on_key_steps_is_the_undisturbed_one(eager, tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    how = {"method": "edit", "edit": config.Edit(first=5 / config.Training().steps)}
    whole = make(tmp_path / "whole", **how)
    whole.run()
    for step in (3, 9):  # in its first stage, and in its second
        killed_at(tmp_path / "killed", step, **how)
    again = make(tmp_path / "killed", **how)
    again.run()
    assert_same(outcome(again), outcome(whole))


@pytest.mark.slow
def test_a_torn_newest_checkpoint_costs_one_iteration_and_no_figure(eager, undisturbed, tmp_path, caplog):
    killed_at(tmp_path, 10)
    files = sorted(tmp_path.glob("checkpoint-*"))
    assert len(files) == 2
    files[-1].write_bytes(files[-1].read_bytes()[:-1000])
    one = make(tmp_path)
    with caplog.at_level(logging.WARNING):
        one.run()
    assert files[-1].name in caplog.text
    assert_same(outcome(one), undisturbed)


def flip(path):
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("kind", some(["checkpoint", "best"], ["best"]))
def test_a_flipped_bit_is_found_and_the_older_checkpoint_serves(eager, undisturbed, tmp_path, caplog, kind):
    killed_at(tmp_path, 10)
    damaged = sorted(tmp_path.glob(f"{kind}-*.safetensors"))[-1]
    flip(damaged)
    one = make(tmp_path)
    with caplog.at_level(logging.WARNING):
        one.run()
    assert f"{damaged.name} is damaged" in caplog.text
    assert_same(outcome(one), undisturbed)


def test_without_a_readable_checkpoint_the_training_starts_over(eager, undisturbed, tmp_path):
    killed_at(tmp_path, 6)
    for file in tmp_path.glob("checkpoint-*"):
        file.write_bytes(b"torn")
    one = make(tmp_path)
    one.run()
    assert_same(outcome(one), undisturbed)


def test_two_checkpoints_are_kept_and_none_once_cleared(eager, tmp_path):
    one = make(tmp_path)
    one.run()
    assert [f.name for f in sorted(tmp_path.glob("checkpoint-*"))] == [
        "checkpoint-00000004.safetensors",
        "checkpoint-00000005.safetensors",
    ]
    checkpoint.clear(tmp_path)
    assert not list(checkpoint.intact(tmp_path))


def test_the_seed_drives_all_that_is_random(undisturbed, tmp_path):
    (tmp_path / "same").mkdir()
    (tmp_path / "other").mkdir()
    torch.manual_seed(12345)  # whatever the global stream was
    same, other = make(tmp_path / "same"), make(tmp_path / "other", seed=1)
    same.run()
    other.run()
    assert_same(outcome(same), undisturbed)
    assert outcome(other)[3] != undisturbed[3]


def test_the_step_chosen_is_the_first_best_on_validation(tmp_path):
    accuracies = [(10, 50), (30, 20), (30, 40), (20, 30)]  # validation, test, in percent
    one = make(tmp_path, dropout=0.0)

    def answers(percent):
        return [Prediction(str(i), "", "", i < percent / 10) for i in range(10)]

    asked = iter(accuracies)
    seen = {}

    def validation():
        seen["now"] = next(asked)
        return answers(seen["now"][0])

    one.evaluators = {"validation": validation, "test": lambda: answers(seen["now"][1])}
    progress = one.run()
    assert progress.chosen_step == 6
    assert progress.accuracy == {"validation": 30.0, "test": 20.0, "test_last": 30.0, "test_best": 50.0}
    stored = json.loads((tmp_path / PREDICTIONS).read_text())
    assert stored["step"] == 6
    assert sum(p["correct"] for p in stored["test"]) == 2
    assert not torch.equal(
        load_file(tmp_path / WEIGHTS)["model.shared.weight"], one.student.model.shared.weight
    )


class Breaking(Stateless):
    """A loss that is no number at one step."""

    def __init__(self, at, value):
        self.at, self.value = at, value

    def loss(self, batch, step):
        parameter = next(self.student.parameters())
        loss = (parameter**2).mean() * (self.value if step == self.at else 1.0)
        return {"loss": loss}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_with_its_step_and_questions(tmp_path, value):
    objective = Breaking(3, value)
    one = make(tmp_path, objective=objective)
    objective.student = one.student
    with pytest.raises(Diverged, match="step 3") as found:
        one.run()
    assert found.value.step == 3
    expected = epoch_order(QUESTIONS, BATCH, 0, 1)[0]
    assert found.value.question_ids == [one.ids[i] for i in expected]
    assert all(torch.isfinite(p).all() for p in one.student.parameters())


class Poisoned(Breaking):
    """A loss that is a number, and a gradient that is none."""

    def loss(self, batch, step):
        loss = super().loss(batch, 0)["loss"]
        if step == self.at:
            first = next(self.student.parameters())
            loss = loss + torch.sqrt((first.flatten()[0] - first.flatten()[0].detach()).abs())
        return {"loss": loss}


@pytest.mark.parametrize("clip, what", [(1.0, "gradient is"), (None, "weights are")])
@pytest.mark.parametrize("step", [3, STEPS])
def test_a_gradient_that_is_no_number_ends_it_before_anything_is_evaluated_or_kept(
    eager, tmp_path, clip, what, step
):
    objective = Poisoned(step, 1.0)
    one = make(tmp_path, objective=objective, settings=SETTINGS.model_copy(update={"clip": clip}))
    objective.student = one.student
    with pytest.raises(Diverged, match=rf"{what} not finite|loss is not finite"):
        one.run()
    assert one.progress.chosen_step < step, "what is no number is never the best"
    for path in tmp_path.glob("*.safetensors"):
        assert all(torch.isfinite(t).all() for t in load_file(path).values() if t.is_floating_point())


@pytest.mark.parametrize("questions, batch", [(16, 4), (17, 4), (3, 8), (1, 1), (5, 5)])
def test_an_epoch_covers_every_question_once_and_fills_its_last_batch(questions, batch):
    first = epoch_order(questions, batch, 0, 0)
    flat = [i for group in first for i in group]
    assert sorted(flat[:questions]) == list(range(questions))
    assert {len(group) for group in first} == {min(batch, questions)}
    assert all(len(set(group)) == len(group) for group in first)
    assert first == epoch_order(questions, batch, 0, 0)
    if questions > 5:
        assert first != epoch_order(questions, batch, 0, 1)
        assert first != epoch_order(questions, batch, 1, 0)


def test_the_rate_warms_up_and_falls_to_nothing_in_straight_lines(tmp_path):
    one = make(tmp_path, settings=config.Training(steps=10, batch=4, lr=1.0, warmup=4))
    rates = [one._lr(step) for step in range(1, 11)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_purposes_never_share_a_stream():
    seeds = [
        derive(s, what, n) for s in (0, 1, 11) for what in ("order", "dropout", "scheme") for n in (0, 1, 11)
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
