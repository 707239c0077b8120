"""Single-Task: question to rationale and label in one target sequence (section 4.2)."""

from qcrd.objectives.base import Ingredients
from qcrd.objectives.finetuning import Supervised


def build(given: Ingredients) -> Supervised:
    """Targets are the first positive and the label; the label alone where there is no positive."""
    limit = given.lengths.max_rationale + given.lengths.max_label
    targets = [given.task.target(s.positives[0] if s.positives else "", s.label) for s in given.sets]
    return Supervised(given, given.student.completions(targets, limit))
