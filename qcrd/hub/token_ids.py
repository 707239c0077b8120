"""Token ids of texts, computed once per process: the cells of a grid read the same texts again and again."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from qcrd.hub.word_tokenizer import WordTokenizer

MOST = 16_000_000  # tokens that are kept of one tokenizer, with their texts about a quarter of a GiB

_kept: WeakKeyDictionary[PreTrainedTokenizerBase | WordTokenizer, Kept] = WeakKeyDictionary()


class Kept(dict[str, "array[int]"]):
    """Texts with their ids, in four bytes each; where there would be too many, all go but the newest."""

    tokens = 0

    def add(self, rows: dict[str, array[int]]) -> None:
        """Keep `rows`, none of which is here yet, if they are not too many by themselves."""
        more = sum(map(len, rows.values()))
        if self.tokens + more > MOST:
            self.clear()
            self.tokens = 0
        if more <= MOST:
            self.update(rows)
            self.tokens += more


def token_ids(tokenizer: PreTrainedTokenizerBase | WordTokenizer, texts: Sequence[str]) -> list[array[int]]:
    """Token ids of each text, uncut and without special tokens; not to be changed, since others read them."""
    kept = _kept.setdefault(tokenizer, Kept())
    rows = {text: kept[text] for text in texts if text in kept}
    if new := [text for text in dict.fromkeys(texts) if text not in rows]:
        found = tokenizer(new, add_special_tokens=False, verbose=False)["input_ids"]
        made = {text: array("i", ids) for text, ids in zip(new, found, strict=True)}
        kept.add(made)
        rows |= made
    return [rows[text] for text in texts]


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Token ids of each text with the end-of-sequence token, at most `limit` in all."""
    return [[*row[: limit - 1], tokenizer.eos_token_id] for row in token_ids(tokenizer, texts)]


def token_counts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """How many tokens each text has uncut, with the end-of-sequence token."""
    return [len(row) + 1 for row in token_ids(tokenizer, texts)]
