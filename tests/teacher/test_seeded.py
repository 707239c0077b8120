import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qcrd.errors import ConfigError
from qcrd.teacher.seeded import pick, processors, uniforms

GRID = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000  # every part of [0, 1) alike

scores = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=20).map(torch.tensor)


def shares(row):
    """How much of [0, 1) picks each token."""
    picked = pick(row.expand(len(GRID), -1), GRID[:, None])
    return torch.bincount(picked[:, 0], minlength=len(row)) / len(GRID)


def decoded(row, numbers, **settings):
    """Tokens that greedy decoding takes of the same scores [V] at one position, for each number."""
    found = row.expand(len(numbers), -1)
    for processor in processors(numbers=numbers[:, None], **settings):
        found = processor(torch.zeros(len(numbers), 1, dtype=torch.long), found)
    return found.argmax(-1)


@given(scores)
def test_every_token_is_picked_for_the_share_that_softmax_gives_it(row):
    assert torch.allclose(shares(row), row.softmax(-1), atol=1.01 / len(GRID))


@given(scores, st.floats(0.3, 3))
def test_temperature_divides_the_scores(row, temperature):
    tokens = decoded(row, GRID, temperature=temperature, top_p=1.0)
    found = torch.bincount(tokens, minlength=len(row)) / len(GRID)
    assert torch.allclose(found, (row / temperature).softmax(-1), atol=2 / len(GRID))


@given(scores.filter(lambda row: len(row) > 1), st.floats(0.05, 0.95))
def test_top_p_keeps_the_fewest_likeliest_tokens_with_that_mass_in_their_proportions(row, top_p):
    found = torch.bincount(decoded(row, GRID, temperature=1.0, top_p=top_p), minlength=len(row)) / len(GRID)
    kept = found > 0
    ordered = row.double().softmax(-1).sort(descending=True).values
    fewest = int((ordered.cumsum(0) < top_p - 1e-6).sum()) + 1
    assert int(kept.sum()) <= fewest + 1  # one more where the masses meet top_p to the rounding
    assert row[kept].min() >= row.sort(descending=True).values[min(fewest, len(row) - 1)]
    inside = row.double().masked_fill(~kept, -torch.inf).softmax(-1)
    assert torch.allclose(found.double(), inside, atol=0.002)


def test_a_forbidden_token_is_never_picked_not_even_at_the_edges():
    row = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf])
    edges = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert pick(row.expand(3, -1), edges[:, None])[:, 0].tolist() == [1, 3, 3]


def test_at_temperature_zero_the_likeliest_token_is_taken_whatever_the_numbers():
    row = torch.tensor([0.1, 3.0, 2.9])
    assert set(decoded(row, GRID, temperature=0.0, top_p=0.5).tolist()) == {1}


def test_the_numbers_of_an_answer_come_from_its_seed_alone_and_are_those_of_a_shorter_one():
    whole = uniforms([1, 2**48 - 1, 3], 100)
    assert torch.equal(uniforms([3, 2**48 - 1], 4), whole[[2, 1], :4])
    assert len(whole.unique()) == 300 and whole.min() >= 0 and whole.max() < 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_are_refused_with_what_to_set(temperature):
    row = torch.tensor([0.0, torch.nan])
    with pytest.raises(ConfigError, match=r"teacher\.dtype to bfloat16 or float32"):
        decoded(row, GRID[:2], temperature=temperature, top_p=1.0)
