"""Single-Task: question to rationale and label in one target sequence (section 4.2)."""

from qcrd.methods.base import Method

USES = frozenset({"teacher", "baseline_m", "max_rationale"})
SINGLE_TASK = Method("single_task", USES, "sequence", "qcrd.objectives.single_task:SingleTask")
