"""EDIT: mistake-driven learning of key reasoning steps, in two stages.

Of the paper only a summary was at hand; docs/methods.md says how it is read where the summary is silent.
"""

from qcrd.config import Selection
from qcrd.methods.base import Method

USES = frozenset({"teacher", "m", "max_rationale", "alpha1", "alpha2", "targets", "edit"})
OWN = Selection(rule="all", accuracy=True, diversity=False)  # the supervised stage takes all right rationales
EDIT = Method("edit", USES, "label", "qcrd.objectives.edit:KeySteps", OWN)
