"""Self-consistency: majority vote over a question's samples (section 3.2)."""

from collections import Counter
from collections.abc import Sequence

from qcrd.types import Parsed, Vote


def vote(question_id: str, samples: Sequence[Parsed]) -> Vote:
    """The most frequent answer; ties are won by the first sampled and marked.

    Canonical answers (`Parsed.answer`) are compared, not strings. Samples without a parsable label do not
    vote.
    """
    parsed = [s for s in samples if s.answer is not None]
    if not parsed:
        return Vote(question_id, None, None, 0, 0, False)
    counts = Counter(s.answer for s in parsed)
    most = max(counts.values())
    winner = next(s for s in parsed if counts[s.answer] == most)
    tied = sum(count == most for count in counts.values()) > 1
    return Vote(question_id, winner.label, winner.answer, most, len(parsed), tied)
