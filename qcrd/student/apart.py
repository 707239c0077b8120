"""Negatives that are a positive in the student's tokens: what is trained on must not be pulled and pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from qcrd.rationales.sets import normal
from qcrd.student.model import tokenise
from qcrd.types import RationaleSet

Tokens = list[int]


def apart(tokenizer: PreTrainedTokenizerBase, sets: Sequence[RationaleSet], limit: int) -> list[RationaleSet]:
    """The sets without negatives whose tokens, cut at `limit`, are a positive's; they count as `equal`.

    Texts with equal words are told apart before (`rationales.sets`). What is left are texts that are one to
    the tokenizer, and those that differ behind the cut alone.
    """
    return [_apart(tokenizer, group, limit) for group in sets]


def _apart(tokenizer: PreTrainedTokenizerBase, group: RationaleSet, limit: int) -> RationaleSet:
    if not group.positives or not group.negatives:
        return group
    known = set(map(tuple, tokenise(tokenizer, group.positives, limit)))
    other = [tuple(row) not in known for row in tokenise(tokenizer, group.negatives, limit)]
    if all(other):
        return group
    stays = iter(other)
    return replace(
        group,
        negatives=tuple(text for text, ok in zip(group.negatives, other, strict=True) if ok),
        order=tuple(right for right in group.order if right or next(stays)),
        equal=group.equal + other.count(False),
    )


class Known:
    """The positives of all questions, which nothing that the student writes may be pushed away from."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[Tokens]]):
        """`rows` are each question's positives, cut, with their end of sequence."""
        self._tokenizer, self._rows = tokenizer, rows
        self._pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))

    def has(self, question: int, row: Tokens) -> bool:
        """Whether it has the tokens of a positive of its question, or in other tokens its words."""
        rows = self._rows[question]
        if row in rows:
            return True
        letters = self._letters(row)  # decoding costs ten times as much
        alike = [known for known in rows if self._letters(known) == letters]
        return bool(alike) and self._text(row) in map(self._text, alike)

    def _letters(self, row: Sequence[int]) -> str:
        """The same for texts with the same words, and for few others."""
        return "".join([self._pieces[token] for token in row]).replace("▁", "").casefold()

    def _text(self, row: Sequence[int]) -> str:
        return normal(self._tokenizer.decode(row, skip_special_tokens=True))
