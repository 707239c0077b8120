"""Token weights in a likelihood against the model's own forward pass, gradients of every weight included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import arithmetic_questions, small_student
from torch.nn.functional import cross_entropy

from qcrd.losses.likelihood import row_means

QUESTIONS = arithmetic_questions(3)
SOURCE = [2, 0, 2, 1, 0]


def given_student(dropout=0.0):
    student = small_student(3, dropout=dropout).double()
    asked = student.completions([f"explain: {q.text}" for q in QUESTIONS], 64)
    texts = [QUESTIONS[i].rationale for i in (0, 1, 2, 0, 1)]
    return student, asked, student.completions(texts, 14)


def some_weights(targets, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.rand(len(t), generator=generator).double().tolist() for t in targets]
    rows[1] = [float(n % 3 == 0) for n in range(len(targets[1]))]
    rows[2] = None
    rows[3] = [0.0] * len(targets[3])
    return rows


def naive(student, asked, targets, weights):
    """One target at a time."""
    found = []
    for source, target, row in zip(SOURCE, targets, weights, strict=True):
        decoder = torch.tensor([[student.start_id, *target[:-1]]])
        logits = student.model(input_ids=torch.tensor([asked[source]]), decoder_input_ids=decoder).logits[0]
        nats = cross_entropy(logits.double(), torch.tensor(target), reduction="none")
        row = torch.tensor([1.0] * len(target) if row is None else row, dtype=torch.float32).double()
        found.append((row * nats).sum() / row.sum() if row.sum() else nats.sum() * 0)
    return torch.stack(found)


def assert_same_gradients(student, found, wanted):
    upstream = torch.tensor([1.0, -2, 3, 5, 4], dtype=torch.float64)[: len(found)]
    parameters = dict(student.named_parameters())
    pair = [torch.autograd.grad(f @ upstream, list(parameters.values())) for f in (found, wanted)]
    for name, a, b in zip(parameters, *pair, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


def test_a_weighted_likelihood_is_the_naive_weighted_mean_with_its_gradient():
    student, asked, targets = given_student()
    weights = some_weights(targets)
    found = student.cross_entropy(student.read(asked), SOURCE, targets, weights)
    wanted = naive(student, asked, targets, weights)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    assert found[3] == 0
    assert_same_gradients(student, found, wanted)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_what_is_differentiated_after_scoring_keeps_its_weights(dropout):
    student, asked, targets = given_student(dropout)
    student.train()
    weights, chosen = some_weights(targets), [4, 1, 3]
    torch.manual_seed(1)
    scored = student.score(student.read(asked), SOURCE, targets, weights)
    again = scored.differentiable(chosen)
    torch.testing.assert_close(again, scored.values[chosen], rtol=1e-10, atol=1e-10)
    if not dropout:
        assert_same_gradients(student, again, naive(student, asked, targets, weights)[chosen])


def test_equal_weights_give_the_plain_mean():
    student, asked, targets = given_student()
    plain = student.cross_entropy(student.read(asked), SOURCE, targets)
    for value in (1.0, 0.25):
        weights = [[value] * len(t) for t in targets]
        equal = student.cross_entropy(student.read(asked), SOURCE, targets, weights)
        torch.testing.assert_close(equal, plain, rtol=1e-12, atol=0)


def test_weights_of_another_length_than_their_target_are_refused():
    student, asked, targets = given_student()
    with pytest.raises(ValueError, match=f"2 weights for a target of {len(targets[0])} tokens"):
        student.cross_entropy(student.read(asked), SOURCE, targets, [[1.0, 1.0], None, None, None, None])


@given(
    rows=st.lists(
        st.lists(st.tuples(st.floats(-3, 3), st.sampled_from([0.0, 0.5, 1.0, 7.0])), max_size=5),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_weighted_means_equal_the_sums_written_out(rows):
    row = torch.tensor([i for i, tokens in enumerate(rows) for _ in tokens], dtype=torch.long)
    values, weights = (
        torch.tensor([token[k] for tokens in rows for token in tokens], dtype=torch.float64) for k in (0, 1)
    )
    wanted = [
        sum(v * w for v, w in tokens) / sum(w for _, w in tokens) if any(w for _, w in tokens) else 0.0
        for tokens in rows
    ]
    found = row_means(values, row, len(rows), weights)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))
