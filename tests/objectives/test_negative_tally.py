"""How many negatives push, by where they are from: counted by hand, and over a resumed training."""

import math
from dataclasses import replace

import pytest
import torch
from small import CPU, arithmetic_questions, objective_of, small_student, two_sided

from qcrd import config
from qcrd.objectives.tally import SELFPLAY, TEACHER, Tally
from qcrd.student.selfplay import Snapshots

NONE = torch.zeros(0)


def sources(*numbers):
    return torch.tensor(numbers, dtype=torch.long)


def test_the_figures_are_counted_by_hand():
    tally = Tally(4.0, CPU)
    first = tally.add(torch.tensor([1.0, 5.0, 3.0]), sources(TEACHER, TEACHER, SELFPLAY))
    assert first["negatives/active"].item() == pytest.approx(2 / 3)
    assert first["negatives/teacher_active"].item() == 0.5
    assert first["negatives/selfplay_active"].item() == 1.0
    assert first["negatives/teacher_l"].item() == 3.0
    assert math.isnan(first["negatives/teacher_all_active"].item()), "the others were not scored"
    among = torch.tensor([4.0, 9.0, 0.5, 8.0]), sources(TEACHER, SELFPLAY, TEACHER, SELFPLAY)
    second = tally.add(torch.tensor([4.0]), sources(SELFPLAY), among)
    assert second["negatives/selfplay_active"].item() == 0.0, "at the margin the hinge is 0"
    assert second["negatives/teacher_all_active"].item() == 0.5
    assert math.isnan(second["negatives/teacher_active"].item())
    assert tally.figures() == pytest.approx(
        {
            "negatives/chosen": 4,
            "negatives/active": 0.5,
            "negatives/teacher_active": 0.5,
            "negatives/selfplay_active": 0.5,
            "negatives/teacher_all_active": 0.5,
            "negatives/selfplay_all_active": 0.0,
            "negatives/teacher_l": 3.0,
            "negatives/selfplay_l": 3.5,
            "negatives/teacher_least": 0.5,
            "negatives/selfplay_least": 3.0,
            "negatives/selfplay_chosen": 0.5,
        }
    )


def test_without_negatives_there_is_a_count_of_none():
    tally = Tally(4.0, CPU)
    parts = tally.add(NONE, sources(), (NONE, sources()))
    assert all(math.isnan(value.item()) for value in parts.values())
    assert tally.figures() == {"negatives/chosen": 0.0}


def test_a_resumed_count_goes_on():
    whole, first, second = Tally(4.0, CPU), Tally(4.0, CPU), Tally(4.0, CPU)
    given = [(torch.tensor([1.0, 6.0]), sources(TEACHER, SELFPLAY)), (torch.tensor([2.5]), sources(SELFPLAY))]
    for one in given:
        whole.add(*one)
    first.add(*given[0])
    second.load_state({name: tensor.clone() for name, tensor in first.state().items()})
    second.add(*given[1])
    assert second.figures() == whole.figures()


def played(scheme="minmax", delta=4.0, **selfplay):
    questions, student = arithmetic_questions(4), small_student(2)
    settings = config.SelfPlay(k=2, lag=1, **selfplay)
    one = objective_of(
        "qcrd", student, questions, two_sided(questions), scheme=scheme, selfplay=settings, delta=delta
    )
    snapshots = Snapshots(1)
    snapshots.take(0, student)
    return one, one.begin_iteration(0, snapshots, range(4))


@pytest.mark.parametrize("scheme", ["minmax", "mean"])
@pytest.mark.parametrize("delta, active", [(0.5, 0.0), (100.0, 1.0)])
def test_a_step_of_qcrd_counts_its_negatives_by_source(scheme, delta, active):
    one, _ = played(scheme, delta)
    parts, counts = one.loss(range(4), 1), one.figures()
    teachers, own = sum(map(len, one.pool.negatives)), sum(map(len, one.played))
    assert counts["negatives/active"] == active
    if scheme == "mean":
        assert counts["negatives/chosen"] == teachers + own
        assert counts["negatives/selfplay_chosen"] == pytest.approx(own / (teachers + own))
        rows = [(i, r) for i in range(4) for r in one.played[i]]
        memory = one.student.read([one.explain[i] for i, _ in rows])
        each = one.student.cross_entropy(memory, range(len(rows)), [r for _, r in rows])
        assert counts["negatives/selfplay_l"] == pytest.approx(each.mean().item(), rel=1e-4)
        assert counts["negatives/selfplay_least"] == pytest.approx(each.min().item(), rel=1e-4)
    else:
        assert counts["negatives/chosen"] == 4
        assert counts["negatives/selfplay_all_active"] == counts["negatives/teacher_all_active"] == active
    for name in ("teacher_l", "selfplay_l"):  # which may have none that was chosen
        found = parts[f"negatives/{name}"].item()
        assert counts.get(f"negatives/{name}", math.nan) == pytest.approx(found, nan_ok=True)


def test_a_right_rationale_that_the_student_writes_is_no_negative_and_is_counted():
    one, figures = played(tau=0.0)
    assert figures["selfplay/equal_positive"] == 0
    [row] = {tuple(r) for r in one.played[0]}
    one.reader.known._rows[0].append(list(row))
    snapshots = Snapshots(1)
    snapshots.take(0, one.student)
    figures = one.begin_iteration(0, snapshots, range(4))
    assert one.played[0] == [] and all(one.played[1:])
    assert figures["selfplay/equal_positive"] == pytest.approx(1 / 4)
    assert one.figures()["selfplay/equal_positive"] == pytest.approx(1 / 8), "over both iterations"
    assert torch.isfinite(one.loss(range(4), 1)["loss"])


def test_a_question_whose_negatives_all_went_has_no_hinge():
    questions, student = arithmetic_questions(2), small_student(2)
    bare = [replace(one, negatives=()) for one in two_sided(questions)]
    with_none = objective_of("qcrd", student, questions, bare, delta=100.0, beta=0.7)
    parts = with_none.loss(range(2), 1)
    assert parts["hinge"].item() == 0 and with_none.figures() == {"negatives/chosen": 0.0}


def test_the_share_that_ended_is_of_those_that_were_not_cut():
    one, figures = played(top_k=None)
    every = [r for group in one.played for r in group]
    assert figures["selfplay/ended"] == pytest.approx(sum(len(r) < 16 for r in every) / len(every))
    assert figures["selfplay/tokens"] == pytest.approx(sum(map(len, every)) / len(every))
