"""Which token comes next, and how often, against transformers' own processors and against the softmax."""

import pytest
import torch
from scipy.stats import chisquare
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from qcrd.student.sampling import candidates, draw


def logits_of(words, rows=1, seed=1):
    return torch.randn(rows, words, generator=torch.Generator().manual_seed(seed)) * 3


def by_transformers(logits, tau, top_k, top_p):
    """[n, V] what transformers' `generate` would draw from."""
    steps = [TemperatureLogitsWarper(tau)]
    steps += [TopKLogitsWarper(top_k)] if top_k else []
    steps += [TopPLogitsWarper(top_p)] if top_p < 1 else []
    return LogitsProcessorList(steps)(None, logits).softmax(-1)


@pytest.mark.parametrize("words", [5, 128, 1000])
def test_a_token_is_drawn_as_often_as_its_softmax_says(words):
    logits = logits_of(words)
    logits[0, 1] = -torch.inf
    drawn = draw(logits.expand(20_000, -1), torch.Generator().manual_seed(2))
    share, wanted = torch.bincount(drawn, minlength=words) / 20_000, logits[0].softmax(-1)
    assert share[1] == 0
    assert ((share - wanted).abs() <= 5 * (wanted / 20_000).sqrt() + 1e-4).all()


@pytest.mark.parametrize("tau", [0.7, 1.5])
@pytest.mark.parametrize("top_k, top_p", [(1, 1.0), (50, 1.0), (50, 0.9), (None, 0.8), (7, 0.01), (999, 0.5)])
def test_what_may_be_drawn_is_what_transformers_would_draw_from(tau, top_k, top_p):
    logits = logits_of(300, rows=6)
    weight, tokens = candidates(logits / tau, top_k, top_p)
    found = torch.zeros_like(logits).scatter(1, tokens, weight / weight.sum(-1, keepdim=True))
    torch.testing.assert_close(found, by_transformers(logits, tau, top_k, top_p))
    assert (weight[:, 0] > 0).all(), "the likeliest always stays"


@pytest.mark.parametrize("top_k, top_p", [(20, 1.0), (20, 0.9), (None, 0.7)])
def test_the_likeliest_are_drawn_as_often_as_their_softmax_says(top_k, top_p):
    logits, n = logits_of(200), 10_000
    drawn = draw(logits.expand(n, -1) / 1.5, torch.Generator().manual_seed(3), top_k, top_p)
    counts = torch.bincount(drawn, minlength=200)
    wanted = by_transformers(logits, 1.5, top_k, top_p)[0].double()
    assert counts[wanted == 0].sum() == 0
    kept = wanted > 0
    expected = wanted[kept] / wanted[kept].sum() * n
    assert chisquare(counts[kept].double(), expected).pvalue > 0.01


def test_more_of_the_likeliest_than_there_are_is_all_of_them():
    logits = logits_of(9, rows=40)
    assert torch.equal(
        draw(logits, torch.Generator().manual_seed(0), 50), draw(logits, torch.Generator().manual_seed(0))
    )


def test_of_equally_likely_tokens_at_the_edge_as_many_stay_as_fit():
    weight, tokens = candidates(torch.tensor([[0.0, 2.0, 0.0, 0.0, 1.0]]), 3, 1.0)
    assert tokens[0, :2].tolist() == [1, 4] and tokens[0, 2].item() in (0, 2, 3)
    assert weight[0].tolist() == pytest.approx([1.0, 2.718281828**-1, 2.718281828**-2])
