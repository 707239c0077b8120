"""Sampling (section 5.1): one positive and one negative drawn at random for each question and step."""

from qcrd.losses.scheme import Scheme, one_at_random

SAMPLING = Scheme(
    "sampling", positives=one_at_random, negatives=one_at_random, needs_values=False, draws=True
)
