"""The entrance to the store: what the answers of every engine go through, whatever it hands over."""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import replace
from numbers import Integral

from qcrd.samples.finish import ending, unsaid
from qcrd.types import Sample

log = logging.getLogger(__name__)

BROKEN = "\ufffd"
"""What stands for a character that was cut or broken."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 5  # unknown reasons that are named


def whole(text: str | bytes) -> str:
    """`text` with `BROKEN` for what is no character: bytes that are no UTF-8, half surrogate pairs.

    Two halves beside each other are one character, as JSON writes it.
    """
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    if not _SURROGATE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATE.sub(BROKEN, joined)


class Received:
    """Makes samples of what an engine handed over, and counts what was wrong with them.

    Args:
        max_tokens: limit under which they are drawn.
    """

    def __init__(self, max_tokens: int):
        self.max_tokens = max_tokens
        self.broken = 0  # answers with a character that was cut or broken
        self.given_up = 0  # by the engine
        self.unknown: Counter[str] = Counter()  # finish reasons

    def __call__(self, sample: Sample) -> Sample | None:
        """The sample as it is stored, None for one that the engine gave up: it can be asked again.

        Its text is whole, its finish reason `stop` or `length`. A reason that is not known may be that of an
        answer which was cut off, so it counts as that. A refused answer is an empty text: it would be refused
        again.

        Raises:
            ValueError: if the engine returns another type than `Sample` says.
        """
        # What an engine hands over may be anything, whatever `Sample` says.
        text: object = sample.text
        tokens: object = 0 if sample.tokens is None else sample.tokens
        if not isinstance(text, str | bytes) or not isinstance(tokens, Integral):
            raise ValueError(
                f"the teacher returned a sample with text {type(text).__name__} and tokens "
                f"{sample.tokens!r}; expected a str, and an int that is 0 where tokens are not counted"
            )
        text = whole(text)
        found = ending(sample.finish_reason)
        if found is None and sample.finish_reason in (None, ""):
            found = unsaid(text, int(tokens), self.max_tokens)
        elif found is None:
            self.unknown[str(sample.finish_reason)] += 1
            found = "length"
        if found == "failed":
            self.given_up += 1
            return None
        if found == "refused":
            text, found = "", "stop"
        self.broken += BROKEN in text
        return replace(sample, text=text, finish_reason=found, tokens=int(tokens))

    def say(self) -> None:
        """Log what was wrong, if anything was."""
        if self.broken:
            log.warning("teacher: %d answers hold a cut or broken character, now U+FFFD", self.broken)
        if self.given_up:
            log.warning("teacher: the engine gave up %d answers; the same command asks again", self.given_up)
        if self.unknown:
            named = ", ".join(f"{word[:40]!r} {n}" for word, n in self.unknown.most_common(_SHOWN))
            log.warning(
                "teacher: %d answers ended for a reason that is not known (%s); they count as cut off",
                *(self.unknown.total(), named),
            )
