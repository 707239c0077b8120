"""Augmentation: negatives generated from positives for the discriminator's pretraining (appendix A.2).

The paper replaces words with the help of a part-of-speech tagger. Here words are classified without a model
into numbers, capitalised words and other words, and a word is replaced by another of its class from the same
corpus. In a preliminary experiment, swapping numbers and operators gave better negatives for arithmetic than
replacing words; both are available.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random
from typing import Literal

SHARE = 0.15  # share of a rationale's words to replace; at least one

TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s]|_", re.UNICODE)
OPPOSITE = {
    "add": "subtract", "subtract": "add", "plus": "minus", "minus": "plus", "more": "fewer", "fewer": "more",
    "multiply": "divide", "divide": "multiply", "times": "plus", "+": "-", "-": "+", "*": "/", "/": "*",
}  # fmt: skip


class Augmenter:
    """Generates wrong rationales from correct ones, with words from the same corpus."""

    def __init__(self, corpus: Iterable[str], kind: Literal["words", "numbers", "both"]):
        """Collect the words of `corpus` by class; `kind` is the kind of change."""
        words: defaultdict[str, set[str]] = defaultdict(set)
        for text in corpus:
            for word in TOKEN.findall(text):
                words[word_class(word)].add(word)
        self.words = {name: sorted(group) for name, group in words.items()}
        self.kind = kind

    def __call__(self, rationale: str, random: Random) -> str | None:
        """A modified copy of the rationale; None if nothing in it can be modified."""
        kind = random.choice(["words", "numbers"]) if self.kind == "both" else self.kind
        order = [self._numbers, self._words] if kind == "numbers" else [self._words, self._numbers]
        if self.kind != "both":
            order = order[:1]
        for change in order:
            changed = change(rationale, random)
            if changed is not None and changed != rationale:
                return changed
        return None

    def _words(self, rationale: str, random: Random) -> str | None:
        replaceable = [m for m in TOKEN.finditer(rationale) if self._others(m.group())]
        if not replaceable:
            return None
        count = max(1, round(SHARE * len(replaceable)))
        edits = {m.span(): self._another(m.group(), random) for m in random.sample(replaceable, count)}
        return _replace(rationale, edits)

    def _numbers(self, rationale: str, random: Random) -> str | None:
        numbers = [m for m in TOKEN.finditer(rationale) if m.group()[0].isdigit()]
        operators = [m for m in TOKEN.finditer(rationale) if m.group().lower() in OPPOSITE]
        pairs = [(a, b) for a in numbers for b in numbers if a.start() < b.start() and a.group() != b.group()]
        choices = []
        if pairs:
            first, second = random.choice(pairs)
            choices.append({first.span(): second.group(), second.span(): first.group()})
        if operators:
            operator = random.choice(operators)
            choices.append({operator.span(): OPPOSITE[operator.group().lower()]})
        return _replace(rationale, random.choice(choices)) if choices else None

    def _others(self, word: str) -> int:
        """Number of other words in the word's class."""
        group = self.words.get(word_class(word), ())
        return len(group) - (_position(group, word) is not None)

    def _another(self, word: str, random: Random) -> str:
        group = self.words[word_class(word)]
        index, position = random.randrange(self._others(word)), _position(group, word)
        return group[index if position is None or index < position else index + 1]


def _position(group: Sequence[str], word: str) -> int | None:
    """Index of `word` in a sorted group, by binary search; None if it is missing."""
    index = bisect_left(group, word)
    return index if index < len(group) and group[index] == word else None


def word_class(word: str) -> str:
    """The word's class: number, mark, name (capitalised) or word."""
    if word[0].isdigit():
        return "number"
    if not word[0].isalnum():
        return "mark:" + word  # a class of its own, so that punctuation is never replaced
    return "name" if word[0].isupper() else "word"


def _replace(text: str, edits: dict[tuple[int, int], str]) -> str:
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return text
