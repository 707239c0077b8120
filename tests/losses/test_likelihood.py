import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from qcrd.losses.likelihood import token_mean_cross_entropy

WORDS = 7


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_equals_the_padded_computation_sequence_by_sequence(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    width = max([*lengths, 1])
    logits = torch.randn(len(lengths), width, WORDS, generator=generator, requires_grad=True)
    targets = torch.randint(WORDS, (len(lengths), width), generator=generator)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    naive = torch.stack(
        [
            cross_entropy(logits[i, :n], targets[i, :n]) if n else (logits[i] * 0).sum()
            for i, n in enumerate(lengths)
        ]
    )
    row = torch.nonzero(mask)[:, 0]
    order = torch.randperm(len(row), generator=generator)  # where a token stands in the pack is all one
    packed = token_mean_cross_entropy(logits[mask][order], targets[mask][order], row[order], len(lengths))
    torch.testing.assert_close(packed, naive)
    weights = torch.randn(len(lengths), generator=generator)
    gradients = [torch.autograd.grad(f @ weights, logits, allow_unused=True)[0] for f in (packed, naive)]
    gradients = [torch.zeros_like(logits) if g is None else g for g in gradients]
    torch.testing.assert_close(*gradients)


def test_half_precision_logits_are_summed_in_full_precision():
    logits = torch.randn(400, WORDS, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.randint(WORDS, (400,), generator=torch.Generator().manual_seed(1))
    found = token_mean_cross_entropy(logits, targets, torch.zeros(400, dtype=torch.long), 1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[0], cross_entropy(logits.float(), targets))
