"""MaxMin (section 5.1): the hardest positive and the negative that is already furthest away."""

from qcrd.losses.scheme import Scheme, largest, smallest

MAXMIN = Scheme("maxmin", positives=largest, negatives=smallest, needs_values=True)
