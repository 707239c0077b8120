"""Validation and normalisation of the engines' answers before they are stored."""

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
"""Replacement for a truncated or invalid character."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 5  # number of unknown finish reasons to log


def whole(text: str | bytes) -> str:
    """Replace invalid UTF-8 bytes and unpaired surrogates by `BROKEN`; adjacent surrogates become a
    character."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    if not _SURROGATE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATE.sub(BROKEN, joined)


class Received:
    """Normalises the samples of an engine for storage, and counts problems.

    Args:
        max_tokens: token limit of the answers.
    """

    def __init__(self, max_tokens: int):
        self.max_tokens = max_tokens
        self.broken = 0  # answers with a truncated or invalid character
        self.given_up = 0  # answers that the engine failed to generate
        self.unknown: Counter[str] = Counter()  # unknown finish reasons

    def __call__(self, sample: Sample) -> Sample | None:
        """Normalise one sample; None if the engine failed, so that it is requested again.

        The text is valid Unicode and the finish reason `stop` or `length`. An unknown reason counts as
        `length`, because the answer may be truncated. A refused answer is stored as an empty text, because it
        would be refused again.

        Raises:
            ValueError: if the text or the token count has a wrong type.
        """
        # Engines of plugins may return other types than `Sample` declares.
        text: object = sample.text
        tokens: object = 0 if sample.tokens is None else sample.tokens
        if not isinstance(text, str | bytes) or not isinstance(tokens, Integral):
            raise ValueError(
                f"the teacher returned a sample with text {type(text).__name__} and tokens "
                f"{sample.tokens!r}; expected a str, and an int that is 0 where tokens are not counted"
            )
        text = whole(text)
        finish = ending(sample.finish_reason)
        if finish is None and sample.finish_reason in (None, ""):
            finish = unsaid(text, int(tokens), self.max_tokens)
        elif finish is None:
            self.unknown[str(sample.finish_reason)] += 1
            finish = "length"
        if finish == "failed":
            self.given_up += 1
            return None
        if finish == "refused":
            text, finish = "", "stop"
        self.broken += BROKEN in text
        return replace(sample, text=text, finish_reason=finish, tokens=int(tokens))

    def say(self) -> None:
        """Log the problems, if any."""
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
