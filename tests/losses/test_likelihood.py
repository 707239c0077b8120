import pytest
import torch
from daily import examples
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from qcrd.losses import likelihood
from qcrd.losses.likelihood import row_means, token_cross_entropy

WORDS, WIDTH = 7, 5


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=6), seed=st.integers(0, 99))
@examples(40)
def test_the_mean_of_each_sequence_equals_the_padded_computation(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    width = max([*lengths, 1])
    values = torch.randn(len(lengths), width, generator=generator, requires_grad=True)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    naive = torch.stack([values[i, :n].mean() if n else values[i].sum() * 0 for i, n in enumerate(lengths)])
    row = torch.nonzero(mask)[:, 0]
    order = torch.randperm(len(row), generator=generator)  # where a token stands in the pack is all one
    packed = row_means(values[mask][order], row[order], len(lengths))
    torch.testing.assert_close(packed, naive)
    weights = torch.randn(len(lengths), generator=generator)
    torch.testing.assert_close(*(torch.autograd.grad(f @ weights, values)[0] for f in (packed, naive)))


@given(
    tokens=st.integers(1, 12),
    chunk=st.integers(1, 5),
    kept=st.sampled_from([0, 100, 10**9]),
    seed=st.integers(0, 99),
)
@examples(60)
def test_equals_the_cross_entropy_of_whole_logits_however_it_is_cut(tokens, chunk, kept, seed):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, WIDTH, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(WORDS, WIDTH, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(WORDS, (tokens,), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(likelihood, "CHUNK", chunk * WORDS)
        patch.setattr(likelihood, "KEPT", kept)
        found = token_cross_entropy(hidden, weight, targets)
        upstream = torch.randn(tokens, generator=generator, dtype=torch.float64)
        own = torch.autograd.grad(found @ upstream, (hidden, weight))
    wanted = cross_entropy(hidden @ weight.t(), targets, reduction="none")
    torch.testing.assert_close(found, wanted)
    for a, b in zip(own, torch.autograd.grad(wanted @ upstream, (hidden, weight)), strict=True):
        torch.testing.assert_close(a, b)


def test_without_a_gradient_nothing_is_kept():
    hidden, weight = torch.randn(4, WIDTH), torch.randn(WORDS, WIDTH)
    with torch.no_grad():
        assert token_cross_entropy(hidden, weight, torch.tensor([0, 1, 2, 3])).grad_fn is None


def test_under_bf16_the_softmax_is_summed_in_full_precision():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(400, WIDTH, generator=generator, requires_grad=True)
    weight = torch.randn(WORDS, WIDTH, generator=generator, requires_grad=True)
    targets = torch.randint(WORDS, (400,), generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        found = token_cross_entropy(hidden, weight, targets)
        wanted = cross_entropy((hidden @ weight.t()).float(), targets, reduction="none")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted)
    pair = [torch.autograd.grad(f.mean(), (hidden, weight)) for f in (found, wanted)]
    for a, b in zip(*pair, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=1e-3)
