"""l(f(x), r): how unlikely the student finds a sequence (section 3.3.2)."""

from torch import Tensor
from torch.nn.functional import cross_entropy


def token_mean_cross_entropy(logits: Tensor, targets: Tensor, row: Tensor, rows: int) -> Tensor:
    """Token-mean cross entropy of each sequence, from packed tokens.

    Packing (one line per real token, no padding) means that no logits are computed for padding.

    Args:
        logits: [N, V], any float type; the softmax is taken in float32.
        targets: [N] token ids.
        row: [N] the sequence that each token belongs to.
        rows: number of sequences R.

    Returns:
        [R] nats per token; 0 for a sequence without tokens.
    """
    nats = cross_entropy(logits.float(), targets, reduction="none")
    total = nats.new_zeros(rows).index_add(0, row, nats)
    count = nats.new_zeros(rows).index_add(0, row, nats.new_ones(len(nats)))
    return total / count.clamp(min=1)
