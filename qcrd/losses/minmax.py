"""MinMax, the paper's scheme (Eqs. 4-7): the most likely positive and the most likely negative."""

from qcrd.losses.scheme import Scheme, largest, smallest

# The negative that is most likely under the student has the largest hinge max(delta - l, 0).
MINMAX = Scheme("minmax", positives=smallest, negatives=largest, needs_values=True)
