"""Negatives that are a positive in the student's tokens: what is trained on must not be pulled and pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

from transformers import PreTrainedTokenizerBase

from qcrd.hub.token_ids import tokenise
from qcrd.rationales.sets import normal
from qcrd.types import RationaleSet

Tokens = list[int]


def apart(tokenizer: PreTrainedTokenizerBase, sets: Sequence[RationaleSet], limit: int) -> list[RationaleSet]:
    """The sets without negatives whose tokens, cut at `limit`, are a positive's; they count as `equal`.

    Texts with equal words are told apart before (`rationales.sets`). What is left are texts that are one to
    the tokenizer, and those that differ behind the cut alone.
    """
    return [_apart(tokenizer, group, limit) for group in sets]


def _apart(tokenizer: PreTrainedTokenizerBase, group: RationaleSet, limit: int) -> RationaleSet:
    equal = equal_tokens(tokenizer, group.positives, group.negatives, limit)
    if not any(equal):
        return group
    goes = iter(equal)
    stays = [not same for same in equal]
    return replace(
        group,
        negatives=tuple(compress(group.negatives, stays)),
        negative_labels=tuple(compress(group.negative_labels, stays)),
        order=tuple(right for right in group.order if right or not next(goes)),
        equal=group.equal + sum(equal),
    )


def equal_tokens(
    tokenizer: PreTrainedTokenizerBase, positives: Sequence[str], negatives: Sequence[str], limit: int
) -> list[bool]:
    """Whether each negative has the tokens of a positive, both cut at `limit`."""
    if not positives or not negatives:
        return [False] * len(negatives)
    known = set(map(tuple, tokenise(tokenizer, positives, limit)))
    return [tuple(row) in known for row in tokenise(tokenizer, negatives, limit)]


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
        return "".join([self._pieces[token] for token in row]).replace("▁", "").replace("Ġ", "").casefold()

    def _text(self, row: Sequence[int]) -> str:
        return normal(self._tokenizer.decode(row, skip_special_tokens=True))
