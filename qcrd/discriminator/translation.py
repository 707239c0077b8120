"""A student's rationales in the discriminator's token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase

from qcrd.discriminator.tokenizer import rationale_ids, same_vocabulary
from qcrd.student.base import Student
from qcrd.types import RationaleSet

Tokens = list[int]
Translate = Callable[[Sequence[Tokens]], list[Tokens]]
"""From rationales in the student's token ids, with their end token, to the discriminator's."""

PROBE = "One of 2."


def untranslated(rows: Sequence[Tokens]) -> list[Tokens]:
    """The rationales as they are, where student and discriminator have the same token ids."""
    return list(rows)


def translation(
    student: Student,
    tokenizer: PreTrainedTokenizerBase,
    sets: Sequence[RationaleSet],
    limit: int,
) -> Translate:
    """How a student's rationales become the discriminator's.

    Ids pass through untouched where both have one vocabulary and write a text in the same ids. Otherwise a
    rationale goes by its text, which is the teacher's where it is one of `sets`, else what the student's ids
    decode to.

    Args:
        student: that has written them, or that reads them.
        tokenizer: the discriminator's.
        sets: the teacher's rationales.
        limit: most tokens of a rationale, of either tokenizer.
    """
    if same_ids(student, tokenizer, limit):
        return untranslated
    texts = list(dict.fromkeys(text for group in sets for text in (*group.positives, *group.negatives)))
    teachers: dict[tuple[int, ...], str] = {}
    for text, row in zip(texts, student.completions(texts, limit), strict=True):
        teachers.setdefault(tuple(row), text)

    def by_text(rows: Sequence[Tokens]) -> list[Tokens]:
        written = (teachers.get(tuple(row)) for row in rows)
        own = [student.text(row) if text is None else text for row, text in zip(rows, written, strict=True)]
        return rationale_ids(tokenizer, own, limit)

    return by_text


def same_ids(student: Student, tokenizer: PreTrainedTokenizerBase, limit: int) -> bool:
    """Whether the student writes a rationale in the ids in which the discriminator reads it.

    With one vocabulary they differ in the end token of a chat template, or in the space that a prompt leaves
    to the completion's first token.
    """
    return same_vocabulary(student.tokenizer, tokenizer) and (
        student.completions([PROBE], limit) == rationale_ids(tokenizer, [PROBE], limit)
    )
