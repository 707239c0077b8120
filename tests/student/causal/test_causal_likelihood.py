"""Packed rows, forward once and differentiate the chosen: against separate plain passes."""

import itertools

import pytest
import torch
from causal_models import FAMILIES, causal_student, naive, tiny
from daily import product, some
from torch.testing import assert_close

from qcrd.student.causal.forward import Completions, Likelihood, Packed, micro_batches

PREFIX = list(range(10, 31))
EXPLAIN = [*PREFIX, 4, 5]
OTHER = list(range(50, 59))
CASES = Completions(
    [[*PREFIX, 3], EXPLAIN, EXPLAIN, OTHER, OTHER, EXPLAIN, [7]],
    [[20, 9, 2], [31, 32, 33, 34, 35, 2], [40, 2], [2], [61, 62, 2], [31, 36, 2], [8, 8, 2]],
)
WEIGHTS = [None, [1, 0, 2, 0, 0.5, 1], [0, 0], [1], [0, 3, 1], None, [0, 0, 1]]
WEIGHTED = Completions(CASES.prompts, CASES.rows, WEIGHTS)
# Of gradients, whose sums are in another order. Some processors came to 1.2e-5 with gemma, which multiplies
# its embeddings by the root of their width.
ROUNDING = 5e-5


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def naive_gradients(model, completions, coefficients):
    model.zero_grad()
    values = naive(model, completions)
    (values * coefficients).sum().backward()
    return values.detach(), gradients(model)


@pytest.mark.parametrize("family, weighted", product(FAMILIES, [True, False]))
def test_values_and_gradients_equal_separate_passes(family, weighted):
    model, completions = tiny(family), WEIGHTED if weighted else CASES
    coefficients = torch.linspace(-1, 2, 7)
    wanted, slopes = naive_gradients(model, completions, coefficients)
    for max_tokens in (None, 30, 1):
        model.zero_grad()
        values = Likelihood(model, False, max_tokens).cross_entropy(completions)
        (values * coefficients).sum().backward()
        assert_close(values.detach(), wanted, rtol=1e-5, atol=1e-5)
        assert_close(gradients(model), slopes, rtol=1e-4, atol=ROUNDING)


@pytest.mark.parametrize(
    "family, recorded, max_tokens",
    some(
        list(itertools.product(FAMILIES, [2**30, 0], [None, 40])),
        {("llama", 0, 40), ("gpt_neox", 0, None), ("mistral", 2**30, 40), ("gemma3_text", 2**30, None)},
    ),
)
def test_the_chosen_are_differentiated_as_if_alone(family, recorded, max_tokens):
    model = tiny(family)
    chosen = [5, 0, 3, 1]
    coefficients = torch.tensor([1.0, -0.5, 2.0, 0.3])
    _, slopes = naive_gradients(model, WEIGHTED.some(chosen), coefficients)
    model.zero_grad()
    scored = Likelihood(model, False, max_tokens, recorded).score(WEIGHTED)
    assert_close(scored.values, naive(model, WEIGHTED).detach(), rtol=1e-5, atol=1e-5)
    some = scored.differentiable(chosen)
    assert_close(some.detach(), scored.values[chosen], rtol=1e-5, atol=1e-6)
    (some * coefficients).sum().backward()
    assert_close(gradients(model), slopes, rtol=1e-4, atol=ROUNDING)


def test_a_shared_prefix_is_read_once():
    packed = Packed(CASES, torch.device("cpu"))
    read = len(PREFIX) + len(OTHER) + 1 + 1 + 3 * 2  # the cues are with each prompt's completions or once
    completions = sum(len(row) - 1 for row in CASES.rows)
    assert len(packed) <= read + completions
    assert len(packed) < sum(map(len, CASES.prompts)) + completions


def test_parts_hold_every_completion_once_and_no_more_tokens_than_they_may():
    for most in (1, 20, 40, 10**6, None):
        parts = micro_batches(CASES, most)
        assert sorted(n for part in parts for n in part) == list(range(7))
        for part in parts:
            size = len(Packed(CASES.some(part), torch.device("cpu")))
            assert most is None or len(part) == 1 or size <= most + 8


@pytest.mark.parametrize("max_tokens", [None, 40])
@pytest.mark.parametrize("chosen", [[0, 1, 2, 3, 4, 5, 6], [5, 0]])
def test_the_second_pass_has_the_dropout_masks_of_the_first(max_tokens, chosen):
    model = tiny("llama", attention_dropout=0.3).train()
    for layer in model.model.layers:
        layer.mlp.act_fn = torch.nn.Sequential(torch.nn.SiLU(), torch.nn.Dropout(0.2))

    def score(recorded):
        torch.manual_seed(1)
        scored = Likelihood(model, False, max_tokens, recorded).score(CASES)
        model.zero_grad()
        values = scored.differentiable(chosen)
        assert_close(values.detach(), scored.values[chosen], rtol=1e-5, atol=1e-5)
        values.sum().backward()
        return scored.values, gradients(model)

    values, slopes = score(0)
    again, same = score(2**30)
    assert_close(again, values)
    assert_close(same, slopes, rtol=1e-4, atol=ROUNDING)
    assert (Likelihood(model, False).score(CASES).values - values).abs().max() > 1e-3
    small = 0.01 / sum((slope**2).sum() for slope in slopes.values())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(small * slopes[name])
    moved, _ = score(0)
    assert_close(moved[chosen].sum() - values[chosen].sum(), torch.tensor(0.01), rtol=0.05, atol=0)


def test_a_single_micro_batch_differentiates_the_completions_that_were_chosen():
    student = causal_student("llama", max_tokens=2**20)
    rows = student.completions(["8", "3 + 5", "8 - 2", "He has 8 ."], 24)
    # Within a micro-batch prompts are sorted, here the other way round.
    prompts = sorted(student.prompts("explain", ["Tom has 8 apples .", "Ann has 3 pens ."], 24), reverse=True)
    scored = student.score(student.read(prompts), [0, 0, 1, 1], rows)
    assert_close(scored.differentiable([0, 3]), scored.values[[0, 3]])


@pytest.mark.parametrize("name", ["llama", "qwen3-lora"])
def test_gradient_checkpointing_changes_no_gradient(name):
    plain, saving = causal_student(name).train(), causal_student(name, checkpointing=True).train()
    rows = plain.completions(["8", "3 + 5", "8 - 2", "He has 8 ."], 24)
    found = []
    for student in (plain, saving):
        prompts = student.read(student.prompts("explain", ["Tom has 8 apples .", "Ann has 3 pens ."], 24))
        student.score(prompts, [0, 0, 1, 1], rows).differentiable([0, 2, 3]).sum().backward()
        found.append(gradients(student))
    assert found[0].keys() == found[1].keys()
    for own, other in zip(found[0].values(), found[1].values(), strict=True):
        assert_close(own, other, rtol=1e-5, atol=1e-6)
