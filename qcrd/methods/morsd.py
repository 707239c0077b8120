"""MoRSD: Distilling Step-by-Step on rationales that are selected for the student as it is now."""

from qcrd.config import Selection
from qcrd.methods.base import Method
from qcrd.methods.dss import StepByStep

OWN = Selection(rule="min_rd", n=6, accuracy=True, diversity=True)  # six: the paper's best balance
USES = frozenset({"teacher", "m", "max_rationale", "alpha1", "alpha2", "selection"})
MORSD = Method("morsd", USES, "label", StepByStep, OWN)
