"""Mean (section 5.1): the plain average over all rationales, without the discriminator's weights."""

from qcrd.losses.scheme import Scheme, average

MEAN = Scheme("mean", positives=average, negatives=average, needs_values=False, weighted=False)
