import pytest
import torch
from small import arithmetic_questions, objective_of, small_discriminator, small_student, two_sided

from qcrd import config
from qcrd.objectives import qcrd as qcrd_module
from qcrd.student.selfplay import Snapshots, self_play
from qcrd.student.weights import set_weights, weights


def stamp(student, value):
    """Make the student recognisable as the one of iteration `value`."""
    with torch.no_grad():
        student.model.shared.weight.fill_(value)


@pytest.mark.parametrize("lag", [1, 3, 5])
def test_each_iteration_plays_against_the_weights_of_lag_iterations_before(lag):
    student, snapshots = small_student(), Snapshots(lag)
    for iteration in range(9):
        stamp(student, float(iteration))
        snapshots.take(iteration, student)
        stamp(student, -1.0)  # a snapshot is a copy, whatever becomes of the student
        wanted = float(max(iteration - lag, 0))
        assert snapshots.before(iteration)["model.shared.weight"].unique().tolist() == [wanted]
        assert len(snapshots.kept) <= lag + 1


def test_qcrd_samples_from_that_snapshot(monkeypatch):
    questions = arithmetic_questions(3)
    student, seen = small_student(), []
    objective = objective_of(
        "qcrd", student, questions, two_sided(questions), selfplay=config.SelfPlay(k=1, lag=2)
    )

    def spy(player, *rest):
        seen.append(player.model.shared.weight.unique().tolist())
        return self_play(player, *rest)

    monkeypatch.setattr(qcrd_module, "self_play", spy)
    snapshots = Snapshots(objective.lag)
    for iteration in range(5):
        stamp(student, float(iteration))
        snapshots.take(iteration, student)
        objective.begin_iteration(iteration, snapshots, range(3))
    assert seen == [[0.0], [0.0], [0.0], [1.0], [2.0]]
    assert student.model.shared.weight.unique().tolist() == [4.0]


def test_an_iteration_plays_for_its_own_questions_and_judges_them_alone(monkeypatch):
    questions = arithmetic_questions(4)
    student, discriminator, seen = small_student(2), small_discriminator(), []
    objective = objective_of(
        "qcrd", student, questions, two_sided(questions), discriminator, selfplay=config.SelfPlay(k=2, lag=2)
    )
    monkeypatch.setattr(discriminator, "update", lambda asked, iteration: seen.append(asked) or {})
    snapshots = Snapshots(objective.lag)
    for iteration, coming in enumerate(([1, 2], [0, 2])):
        snapshots.take(iteration, student)
        objective.begin_iteration(iteration, snapshots, coming)
        assert [i for i, group in enumerate(objective.played) if group] == coming
        assert [q.text for q in seen[-1]] == [objective.discriminator_questions[i].text for i in coming]
        assert [q.played for q in seen[-1]] == [objective.played[i] for i in coming]


def test_without_self_play_nothing_is_kept_or_drawn():
    questions = arithmetic_questions(2)
    student = small_student()
    objective = objective_of(
        "qcrd", student, questions, two_sided(questions), selfplay=config.SelfPlay(enabled=False)
    )
    assert objective.lag == 0
    snapshots = Snapshots(objective.lag)
    snapshots.take(0, student)
    assert snapshots.kept == {}
    assert not [name for name in objective.begin_iteration(0, snapshots, range(2)) if "selfplay" in name]
    assert objective.played == [[], []]


def drawn(student, k, tau, seed=0, iteration=0, limit=8, **cut):
    rows = student.completions([f"explain: {q.text}" for q in arithmetic_questions(4)], 64)
    settings = config.SelfPlay(k=k, tau=tau, **cut)
    return self_play(student, rows, settings, limit, seed, iteration), rows


def test_temperature_zero_is_greedy_and_k_copies_of_it():
    student = small_student(2)
    found, rows = drawn(student, 3, 0.0)
    greedy = student.generate(rows, 7)
    assert found == [[[*r, 1]] * 3 if r else [] for r in greedy]


def test_samples_are_within_the_limit_end_properly_and_differ_by_iteration_and_seed():
    student = small_student(2)
    found, _ = drawn(student, 3, 1.5)
    assert len(found) == 4
    assert all(len(group) <= 3 for group in found)
    assert all(2 <= len(r) <= 8 and r[-1] == 1 and r.count(1) == 1 for group in found for r in group)
    assert len({tuple(r) for r in found[0]}) > 1
    assert drawn(student, 3, 1.5)[0] == found
    assert drawn(student, 3, 1.5, iteration=1)[0] != found
    assert drawn(student, 3, 1.5, seed=1)[0] != found


def test_only_the_likeliest_tokens_are_drawn():
    student = small_student(2)
    greedy = drawn(student, 3, 0.0)[0]
    assert drawn(student, 3, 1.5, top_k=1)[0] == drawn(student, 3, 1.5, top_p=1e-6)[0] == greedy
    assert drawn(student, 3, 1.5, top_k=None)[0] != drawn(student, 3, 1.5)[0], "50 of the words, or all"


def test_weights_of_another_model_are_refused():
    student = small_student()
    values = weights(student)
    values.popitem()
    with pytest.raises(ValueError, match="another model"):
        set_weights(student, values)
