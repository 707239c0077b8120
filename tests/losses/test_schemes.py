"""The contrastive loss against a slow reference: loops over questions, written from Eqs. 3-7 and 5.1."""

import pytest
import torch
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, choose, contrastive_loss

PROPERTY = examples(60)
UNWEIGHTED = {"mean"}  # section 5.1: the plain average


@st.composite
def batches(draw):
    """Questions with 0-4 positives and 0-4 negatives each, rows shuffled, equal losses among them."""
    rows = []
    questions = draw(st.integers(0, 4))
    for question in range(questions):
        for positive in (True, False):
            rows += [(question, positive)] * draw(st.integers(0, 4))
    rows = draw(st.permutations(rows))
    # Exact in float32, with ties; deltas lie between two of them, off the hinge's kink.
    losses = draw(st.lists(st.integers(0, 64), min_size=len(rows), max_size=len(rows)))
    quality = draw(st.lists(st.integers(0, 16), min_size=len(rows), max_size=len(rows)))
    return rows, questions, [v / 8 for v in losses], [v / 16 for v in quality]


def candidates_of(rows, questions):
    return Candidates(
        torch.tensor([q for q, _ in rows], dtype=torch.long),
        torch.tensor([p for _, p in rows], dtype=torch.bool),
        questions,
    )


def side(rule, values, quality, drawn):
    """One side of one question: what its rationales contribute. `values` are l or hinge, {row: scalar}."""
    best = {"smallest": min, "largest": max}
    if rule in best:
        row = best[rule](values, key=lambda r: float(values[r].detach()))  # the first of equals
        return quality[row] * values[row]
    if rule == "drawn":
        (row,) = [r for r in values if r in drawn]
        return quality[row] * values[row]
    return sum(quality[r] * values[r] for r in values) / len(values)


RULES = {  # positives, negatives (after the margin)
    "minmax": ("smallest", "largest"),
    "maxmin": ("largest", "smallest"),
    "sampling": ("drawn", "drawn"),
    "mean": ("average", "average"),
    "wmean": ("average", "average"),
}


def reference(name, rows, questions, loss, quality, beta, delta, negative, drawn):
    total, count = torch.zeros((), dtype=loss.dtype), 0
    sign = 1 if negative == "hinge" else -1
    for question in range(questions):
        positives = [r for r, (q, p) in enumerate(rows) if q == question and p]
        negatives = [r for r, (q, p) in enumerate(rows) if q == question and not p]
        if not positives:
            continue
        count += 1
        s = dict.fromkeys(range(len(rows)), 1.0)
        if quality is not None and name not in UNWEIGHTED:
            s = {r: quality[r] if rows[r][1] else 1 - quality[r] for r in s}
        total = total + side(RULES[name][0], {r: loss[r] for r in positives}, s, drawn)
        if negatives:
            zero = loss.new_zeros(())
            hinges = {r: delta - loss[r] if float(loss[r].detach()) < delta else zero for r in negatives}
            total = total + sign * beta * side(RULES[name][1], hinges, s, drawn)
    return total / max(count, 1)


def measured(name, rows, questions, loss, quality, beta, delta, negative, seed=0):
    """Loss, parts and the chosen rows, as a training step computes them."""
    candidates, scheme = candidates_of(rows, questions), SCHEMES[name]
    values = loss.detach() if scheme.needs_values else None
    chosen = choose(candidates, values, scheme, delta, torch.Generator().manual_seed(seed))
    weight = None
    if quality is not None and scheme.weighted:
        s = torch.tensor(quality, dtype=loss.dtype)[chosen.row]
        weight = torch.where(chosen.positive, s, 1 - s)
    found, parts = contrastive_loss(candidates, chosen, loss[chosen.row], weight, beta, delta, negative)
    return found, parts, chosen


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("negative", ["hinge", "printed"])
@given(
    batch=batches(),
    weighted=st.booleans(),
    beta=st.sampled_from([0.0, 0.2, 1.5]),
    delta=st.sampled_from([1 / 16, 33 / 16, 65 / 16, 129 / 16]),
)
@PROPERTY
def test_value_and_gradient_are_those_of_the_equations(name, negative, batch, weighted, beta, delta):
    rows, questions, losses, quality = batch
    quality = quality if weighted else None
    fast = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    slow = fast.detach().clone().requires_grad_(True)
    found, _, chosen = measured(name, rows, questions, fast, quality, beta, delta, negative)
    wanted = reference(name, rows, questions, slow, quality, beta, delta, negative, set(chosen.row.tolist()))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)
    if any(positive for _, positive in rows):
        found.backward()
        wanted.backward()
        torch.testing.assert_close(fast.grad, slow.grad, rtol=1e-6, atol=1e-9)


@given(batch=batches(), beta=st.sampled_from([0.2, 1.5]))
@PROPERTY
def test_minmax_moves_one_positive_and_one_negative_of_a_question_and_nothing_else(batch, beta):
    rows, questions, losses, _ = batch
    loss = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    found, _, chosen = measured("minmax", rows, questions, loss, None, beta, 129 / 16, "hinge")
    for question in range(questions):
        for positive in (True, False):
            group = [r for r, kind in enumerate(rows) if kind == (question, positive)]
            picked = [r for r in group if r in chosen.row.tolist()]
            assert len(picked) == min(len(group), 1)
            # The negative that the student finds likeliest is the one with the largest hinge.
            assert all(losses[r] == min(losses[g] for g in group) for r in picked)
    if any(positive for _, positive in rows):
        found.backward()
        untouched = sorted(set(range(len(rows))) - set(chosen.row.tolist()))
        assert not loss.grad[untouched].any()
        alone = {q for q in range(questions) if (q, True) not in rows}
        for r in chosen.row.tolist():
            assert bool(loss.grad[r]) == (rows[r][0] not in alone)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_question_without_positives_leaves_the_mean_as_it_is(name):
    rows = [(0, True), (0, False), (2, True), (2, False)]
    loss = torch.tensor([1.0, 2.0, 3.0, 0.5])
    before, _, _ = measured(name, rows, 3, loss, None, 0.2, 4.0, "hinge")
    more = torch.cat([loss, torch.tensor([0.1, 0.2])])
    after, _, _ = measured(name, [*rows, (1, False), (1, False)], 3, more, None, 0.2, 4.0, "hinge")
    # (1.0 + 0.2 * 2.0 + 3.0 + 0.2 * 3.5) / 2, worked by hand
    assert before.item() == pytest.approx(2.55) == after.item()


def test_weights_of_zero_and_one_switch_a_rationale_off_and_on():
    rows, loss = [(0, True), (0, False)], torch.tensor([1.0, 2.0])
    assert measured("minmax", rows, 1, loss, [1.0, 0.0], 0.5, 4.0, "hinge")[0].item() == pytest.approx(2.0)
    assert measured("minmax", rows, 1, loss, [0.0, 1.0], 0.5, 4.0, "hinge")[0].item() == 0.0


def test_beta_zero_leaves_the_positives_alone():
    rows, loss = [(0, True), (0, False)], torch.tensor([1.5, 2.0], requires_grad=True)
    found, _, _ = measured("minmax", rows, 1, loss, None, 0.0, 4.0, "hinge")
    found.backward()
    assert found.item() == 1.5
    assert loss.grad.tolist() == [1.0, 0.0]


def test_the_parts_are_means_over_the_questions():
    rows = [(q, positive) for q in range(4) for positive in (True, False)]
    loss = torch.tensor([1.0, 2.0, 1.0, 3.9, 1.0, 4.0, 1.0, 9.0])
    _, parts, _ = measured("minmax", rows, 4, loss, None, 0.2, 4.0, "hinge")
    assert parts["positive"].item() == pytest.approx(1.0)
    assert parts["hinge"].item() == pytest.approx((2.0 + 0.1) / 4)


def test_sampling_draws_every_rationale_equally_often_and_the_same_for_a_seed():
    rows = [(0, True)] * 3 + [(0, False)] * 2
    loss = torch.arange(5.0)
    picks = [
        tuple(measured("sampling", rows, 1, loss, None, 0.2, 4.0, "hinge", seed)[2].row.tolist())
        for seed in range(600)
    ]
    assert picks[:5] == [
        tuple(measured("sampling", rows, 1, loss, None, 0.2, 4.0, "hinge", seed)[2].row.tolist())
        for seed in range(5)
    ]
    for row, share in ((0, 1 / 3), (1, 1 / 3), (2, 1 / 3), (3, 1 / 2), (4, 1 / 2)):
        assert sum(row in p for p in picks) / 600 == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize("name", SCHEMES)
def test_an_empty_batch_of_rationales_costs_nothing(name):
    found, parts, chosen = measured(name, [], 0, torch.zeros(0), None, 0.2, 4.0, "hinge")
    assert found.item() == 0.0
    assert len(chosen.row) == 0
    assert parts["positive"].item() == 0.0
