"""W-mean (section 5.1): the mean of the rationales' losses, each multiplied by its quality weight.

The sum is divided by the number of rationales, not by the sum of weights, so that questions with better
rationales contribute more to the loss.
"""

from qcrd.losses.scheme import Scheme, average

WMEAN = Scheme("wmean", positives=average, negatives=average, needs_values=False, weighted=True)
