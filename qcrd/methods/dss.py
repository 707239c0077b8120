"""Distilling Step-by-Step: label task and rationale task side by side, one rationale per question."""

from qcrd.config import Selection
from qcrd.methods.base import Method

USES = frozenset({"teacher", "baseline_m", "max_rationale", "alpha1", "alpha2"})
OWN = Selection(rule="first", n=1, accuracy=True, diversity=False)
DSS = Method("dss", USES, "label", "qcrd.objectives.dss:StepByStep", OWN)
