"""An own scheme: every positive counts, the likelier the more."""

from torch import softmax

from qcrd.losses import SCHEMES
from qcrd.losses.scheme import Scheme, largest


def softmin(values, mask, generator):
    """Coefficients [B, M] that fall with the loss (nats per token) and add up to 1."""
    return softmax((-values).masked_fill(~mask, -1e9), dim=1) * mask


SCHEMES.register(Scheme("softmin", positives=softmin, negatives=largest, needs_values=True))
