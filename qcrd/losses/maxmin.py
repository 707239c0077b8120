"""MaxMin (section 5.1): the least likely positive and the least likely negative."""

from qcrd.losses.scheme import Scheme, largest, smallest

MAXMIN = Scheme("maxmin", positives=largest, negatives=smallest, needs_values=True)
