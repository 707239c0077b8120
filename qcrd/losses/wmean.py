"""W-mean (section 5.1): each rationale's loss is multiplied by its quality weight, then averaged.

The average is over the number of rationales, not over the sum of weights: dividing by the sum would
cancel exactly what the weights are for, that a good question set counts more than a poor one.
"""

from qcrd.losses.scheme import Scheme, average

WMEAN = Scheme("wmean", positives=average, negatives=average, needs_values=False, weighted=True)
