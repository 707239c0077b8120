"""What the discriminator reads of the completions that a student is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from qcrd.discriminator.tokenizer import rationale_ids, same_ids
from qcrd.objectives.base import Ingredients
from qcrd.objectives.written import Written
from qcrd.student.base import Tokens


class DiscriminatorInput:
    """The rationale of each completion, in the discriminator's token ids.

    A rationale passes through untouched where student and discriminator write a text in the same ids.
    Otherwise, and of sequences, it goes by text: the teacher's own, or that of what self-play wrote.

    Attributes:
        by_text: whether it does.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        given: Ingredients,
        teachers: Sequence[Mapping[tuple[int, ...], str]],
    ):
        """Read the teacher's rationales.

        Args:
            tokenizer: the discriminator's.
            given: of the objective.
            teachers: for each question the rationale of each completion that is from the teacher.
        """
        self._tokenizer, self._limit = tokenizer, given.lengths.max_rationale
        self.by_text = given.written == "sequence" or not same_ids(given.student, tokenizer, self._limit)
        self._teachers: list[dict[tuple[int, ...], Tokens]] = []
        if self.by_text:
            self._teachers = [
                dict(zip(group, self._ids(list(group.values())), strict=True)) for group in teachers
            ]
        self._written = [Written() for _ in teachers]
        self._rationales: list[list[Tokens]] = [[] for _ in teachers]

    def play(self, written: Sequence[Written]) -> None:
        """Take what self-play wrote in this iteration, for each question."""
        self._written = list(written)
        self._rationales = [self._ids(w.rationales) if self.by_text else w.negatives for w in written]

    def written(self, question: int) -> list[Tokens]:
        """The rationales of a question's negatives that self-play wrote."""
        return self._rationales[question]

    def rationale(self, question: int, completion: Tokens) -> Tokens:
        """The rationale of one of a question's completions."""
        if not self.by_text:
            return completion
        of_teacher = self._teachers[question].get(tuple(completion))
        if of_teacher is not None:
            return of_teacher
        return self._rationales[question][self._written[question].negatives.index(completion)]

    def _ids(self, rationales: Sequence[str]) -> list[Tokens]:
        return rationale_ids(self._tokenizer, rationales, self._limit)
