"""MoRSD: Distilling Step-by-Step on rationales that are selected for the student as it is now."""

from qcrd.config import Selection
from qcrd.methods.base import Method

USES = frozenset({"teacher", "m", "max_rationale", "alpha1", "alpha2", "targets", "selection"})
OWN = Selection(rule="min_rd", n=6, accuracy=True, diversity=True)  # six: the paper's best balance
MORSD = Method("morsd", USES, "label", "qcrd.objectives.dss:StepByStep", OWN)
