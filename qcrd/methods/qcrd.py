"""QCRD: quality-guided contrastive rationale distillation (section 3)."""

from qcrd.config import Selection
from qcrd.methods.base import Method

USES = frozenset({"teacher", "m", "max_rationale", "alpha1", "alpha2", "targets"})
USES |= {"contrastive", "selfplay", "discriminator"}
OWN = Selection(rule="all", accuracy=True, diversity=False)
QCRD = Method("qcrd", USES, "label", "qcrd.objectives.qcrd:Contrastive", OWN)
