"""Token ids of texts, cached per process, since the cells of a grid use the same texts."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from qcrd.hub.word_tokenizer import WordTokenizer

MOST = 16_000_000  # maximum number of cached tokens per tokenizer; with their texts about 256 MiB

_caches: WeakKeyDictionary[PreTrainedTokenizerBase | WordTokenizer, Cache] = WeakKeyDictionary()


class Cache(dict[str, "array[int]"]):
    """Token ids by text, four bytes each. When it is full, it is cleared before new texts are added."""

    tokens = 0

    def add(self, rows: dict[str, array[int]]) -> None:
        """Add new texts; does nothing if they alone exceed the limit."""
        more = sum(map(len, rows.values()))
        if self.tokens + more > MOST:
            self.clear()
            self.tokens = 0
        if more <= MOST:
            self.update(rows)
            self.tokens += more


def token_ids(tokenizer: PreTrainedTokenizerBase | WordTokenizer, texts: Sequence[str]) -> list[array[int]]:
    """Token ids of each text, untruncated and without special tokens. The arrays are shared: do not edit."""
    cache = _caches.setdefault(tokenizer, Cache())
    rows = {text: cache[text] for text in texts if text in cache}
    if new := [text for text in dict.fromkeys(texts) if text not in rows]:
        encoded = tokenizer(new, add_special_tokens=False, verbose=False)["input_ids"]
        new_rows = {text: array("i", ids) for text, ids in zip(new, encoded, strict=True)}
        cache.add(new_rows)
        rows |= new_rows
    return [rows[text] for text in texts]


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Token ids of each text with the end-of-sequence token, truncated to `limit` in total."""
    return [[*row[: limit - 1], tokenizer.eos_token_id] for row in token_ids(tokenizer, texts)]


def token_counts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """Number of tokens of each untruncated text, including the end-of-sequence token."""
    return [len(row) + 1 for row in token_ids(tokenizer, texts)]
