"""MinMax, the paper's scheme (Eqs. 4-7): the likeliest positive and the likeliest negative."""

from qcrd.losses.scheme import Scheme, largest, smallest

# The largest hinge max(delta - l, 0) belongs to the negative that the student finds most likely.
MINMAX = Scheme("minmax", positives=smallest, negatives=largest, needs_values=True)
