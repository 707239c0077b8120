"""Which of the completions that self-play wrote are negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from qcrd.objectives.base import Ingredients
from qcrd.student.base import Tokens
from qcrd.student.token_duplicates import Known


@dataclass(frozen=True, slots=True)
class Written:
    """What an earlier student wrote to one question."""

    negatives: list[Tokens] = field(default_factory=list)
    rationales: list[str] = field(default_factory=list)  # of each negative
    equal: int = 0  # completions that are no negatives because they have the text of a positive
    right: int = 0  # sequences that are no negatives because their label is right


class Reader:
    """Tells negatives from what is right.

    A rationale with the text of a positive must not be pushed away from. Of a sequence the label is read
    with the task's own reader: one that is right is no negative, and neither is one whose rationale has the
    text of a positive, as with the teacher's. A sequence without a readable label is a negative.
    """

    def __init__(self, given: Ingredients, learnable: Sequence[Sequence[Tokens]], texts: bool):
        """Prepare.

        Args:
            given: of the objective.
            learnable: what is right, for each question: see `RationalePool.learnable`.
            texts: whether `Written.rationales` are wanted; decoding takes time.
        """
        self.given, self.texts = given, texts
        self.known = Known(given.student.tokenizer, learnable)

    def __call__(self, question: int, completions: Sequence[Tokens]) -> Written:
        """Sort the completions of a question, given by its number."""
        if self.given.written == "sequence":
            return self._sequences(question, completions)
        negatives = [row for row in completions if not self.known.has(question, row)]
        rationales = [self.given.student.text(row) for row in negatives] if self.texts else []
        return Written(negatives, rationales, len(completions) - len(negatives))

    def _sequences(self, number: int, completions: Sequence[Tokens]) -> Written:
        given, limit = self.given, self.given.lengths.max_rationale
        # The label that is trained on stands for the gold one, which may be withheld.
        question = replace(given.questions[number], label=given.labels[number])
        negatives, rationales, equal, right = [], [], 0, 0
        for row in completions:
            text = given.student.text(row)
            parsed = given.task.parse(text, question)
            # Where no rationale can be told apart, the whole text stands for it.
            [rationale] = given.student.completions([parsed.rationale or text], limit)
            if parsed.label is not None and given.task.correct(parsed.label, question):
                right += 1
            elif self.known.has(number, row) or self.known.has(number, rationale):
                equal += 1
            else:
                negatives.append(row)
                rationales.append(parsed.rationale or text)
        return Written(negatives, rationales, equal, right)
