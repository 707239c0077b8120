import math

import pytest
import torch
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd.losses.discriminator import discriminator_loss

PROPERTY = examples(60)


@st.composite
def scored(draw):
    """Rows (question, positive, score) of up to four questions, some with one kind only."""
    questions = draw(st.integers(1, 4))
    score = st.floats(-30, 30, width=32)
    rows = draw(st.lists(st.tuples(st.integers(0, questions - 1), st.booleans(), score), max_size=12))
    return questions, rows


def reference(questions, rows, score, form):
    """Eq. 2 by loops, over questions that have both kinds; the bounded form; binary cross entropy."""
    losses = []
    for question in range(questions):
        positive = [score[i].exp() for i, (q, p, _) in enumerate(rows) if q == question and p]
        negative = [score[i].exp() for i, (q, p, _) in enumerate(rows) if q == question and not p]
        if positive and negative and form == "bce":
            ups = [(1 + 1 / value).log() for value in positive]
            downs = [(1 + value).log() for value in negative]
            losses.append((sum(ups) / len(ups) + sum(downs) / len(downs)) / 2)
        elif positive and negative:
            below = sum(negative) + (sum(positive) if form == "bounded" else 0)
            losses.append(-torch.log(sum(positive) / below))
    return sum(losses) / len(losses) if losses else score.sum() * 0


def measured(questions, rows, score, form):
    question = torch.tensor([q for q, _, _ in rows], dtype=torch.long)
    positive = torch.tensor([p for _, p, _ in rows], dtype=torch.bool)
    return discriminator_loss(score, positive, question, questions, form)


@pytest.mark.parametrize("form", ["bounded", "printed", "bce"])
@given(case=scored())
@PROPERTY
def test_value_and_gradient_are_those_of_the_equation(form, case):
    questions, rows = case
    fast = torch.tensor([s for *_, s in rows], dtype=torch.float32, requires_grad=True)
    slow = fast.detach().double().requires_grad_(True)
    found, wanted = measured(questions, rows, fast, form), reference(questions, rows, slow, form)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)
    found.backward()
    wanted.backward()
    assert torch.isfinite(fast.grad).all()
    torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=1e-4, atol=1e-5)
    if form != "printed":
        assert found.item() >= -1e-5


@pytest.mark.parametrize("form", ["bounded", "printed"])
@given(case=scored(), shift=st.floats(-200, 200, width=32))
@PROPERTY
def test_only_differences_of_scores_count(form, case, shift):
    questions, rows = case
    score = torch.tensor([s for *_, s in rows], dtype=torch.float32)
    torch.testing.assert_close(
        measured(questions, rows, score + shift, form),
        measured(questions, rows, score, form),
        rtol=1e-3,
        atol=1e-3,
    )


def test_scores_far_beyond_the_range_of_exp_stay_finite():
    rows = [(0, True, 0.0), (0, False, 0.0), (1, False, 0.0), (2, True, 0.0)]
    score = torch.tensor([-500.0, 500.0, 900.0, -900.0], requires_grad=True)
    loss = measured(3, rows, score, "bounded")
    loss.backward()
    assert loss.item() == pytest.approx(1000.0)
    assert score.grad.tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_the_printed_form_falls_without_bound_and_the_bounded_one_to_zero():
    rows = [(0, True, 0.0), (0, False, 0.0)]
    apart = torch.tensor([50.0, -50.0])
    assert measured(1, rows, apart, "printed").item() == pytest.approx(-100.0)
    assert measured(1, rows, apart, "bounded").item() == pytest.approx(0.0, abs=1e-6)
    equal = torch.zeros(2)
    assert measured(1, rows, equal, "bounded").item() == pytest.approx(math.log(2))
    assert measured(1, rows, equal, "printed").item() == pytest.approx(0.0)


def test_without_a_question_of_both_kinds_the_loss_and_its_gradient_are_zero():
    score = torch.tensor([3.0, -2.0], requires_grad=True)
    loss = measured(2, [(0, True, 0.0), (1, False, 0.0)], score, "bounded")
    loss.backward()
    assert loss.item() == 0.0
    assert score.grad.tolist() == [0.0, 0.0]
