import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from qcrd.errors import ConfigError
from qcrd.teacher.seeded import processors

STEADY = settings(deadline=None, derandomize=True, max_examples=100)
CPU = torch.device("cpu")
scores = st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=20).map(torch.tensor)


def drawn(row, seeds, positions=1, temperature=1.0, top_p=1.0):
    """Tokens [seeds, positions] that greedy decoding takes where every position has the scores `row` [V]."""
    made, tokens = processors(temperature, top_p, seeds, CPU), []
    for _ in range(positions):
        found = row.expand(len(seeds), -1)
        for processor in made:
            found = processor(torch.zeros(len(seeds), 1, dtype=torch.long), found)
        tokens.append(found.argmax(-1))
    return torch.stack(tokens, dim=1)


def counts(row, **settings):
    return torch.bincount(drawn(row, range(100), 100, **settings).flatten(), minlength=len(row))


@pytest.mark.parametrize("size", [2, 7, 40])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_softmax_says(size, temperature):
    row = torch.linspace(0, 3, size)
    expected = (row.double() / temperature).softmax(-1) * 10_000
    assert chisquare(counts(row, temperature=temperature).numpy(), expected.numpy()).pvalue > 1e-3


def test_the_draws_of_a_seed_and_those_of_neighbouring_seeds_have_nothing_to_do_with_each_other():
    tokens = drawn(torch.zeros(4), range(200), 200)
    for a, b in ((tokens[:, 1:], tokens[:, :-1]), (tokens[1:], tokens[:-1])):
        pairs = torch.bincount((4 * a + b).flatten(), minlength=16)
        assert chisquare(pairs.numpy()).pvalue > 1e-3


@STEADY
@given(scores, st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=6, unique=True))
def test_the_draws_of_an_answer_come_from_its_seed_alone_and_are_those_of_a_shorter_one(row, seeds):
    together = drawn(row, seeds, 8)
    assert torch.equal(drawn(row, seeds[::-1], 5), together.flip(0)[:, :5])
    assert torch.equal(drawn(row, seeds[:1], 8), together[:1])


@STEADY
@given(scores, st.floats(0.05, 0.95))
def test_top_p_leaves_the_fewest_likeliest_tokens_that_have_that_mass(row, top_p):
    found = drawn(row, range(50), 4, top_p=top_p).unique()
    ordered = row.double().softmax(-1).sort(descending=True).values
    fewest = int((ordered.cumsum(0) < top_p - 1e-6).sum()) + 1
    assert row[found].min() >= row.sort(descending=True).values[min(fewest, len(row) - 1)]


def test_top_p_keeps_the_proportions_of_what_it_leaves():
    row = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    found = counts(row, top_p=0.65)
    assert found[2:].sum() == 0
    assert chisquare(found[:2].numpy(), [10_000 * 4 / 7, 10_000 * 3 / 7]).pvalue > 1e-3


def test_a_forbidden_token_is_never_drawn():
    assert counts(torch.tensor([-torch.inf, 0.0, -torch.inf, -9.0]))[[0, 2]].sum() == 0


@pytest.mark.slow
def test_rounding_seldom_changes_a_draw_of_a_large_vocabulary():
    row = torch.randn(30_000, generator=torch.Generator().manual_seed(0))
    rounded = row + 1e-6 * torch.randn(30_000, generator=torch.Generator().manual_seed(1))
    changed = drawn(row, range(100), 10) != drawn(rounded, range(100), 10)
    assert changed.sum() <= 1


def test_at_temperature_zero_the_likeliest_token_is_taken_whatever_the_seed():
    row = torch.tensor([0.1, 3.0, 2.9])
    assert counts(row, temperature=0.0, top_p=0.5).tolist() == [0, 10_000, 0]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_are_refused_with_what_to_set(temperature):
    with pytest.raises(ConfigError, match=r"teacher\.dtype to bfloat16 or float32"):
        drawn(torch.tensor([0.0, torch.nan]), [1, 2], temperature=temperature)
