"""Statistics of the teacher's samples. Gold labels are used only for reporting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qcrd.types import Parsed, RationaleSet, Vote


def vote_statistics(
    samples: Sequence[Sequence[Parsed]], votes: Sequence[Vote], gold: Sequence[str | None]
) -> dict[str, float]:
    """Parse rate, agreement and accuracy of the teacher with and without self-consistency.

    Args:
        samples: for each question its parsed samples, in sampling order.
        votes: for each question the vote on them.
        gold: for each question its canonical gold answer.

    Returns:
        Shares and accuracies in percent, counts as counts: `single` (accuracy of one sample),
        `single_error` (its standard error over questions), `vote`,
        `agreement` (mean share of a question's candidates that voted for the winner), `ties`,
        `majority_right`, `majority_wrong` (among questions with a strict winner), `uncued`
        (labels that no cue announced, see `task.uncued`), `unparsed`, and `unparsed.<reason>`.
    """
    total = sum(len(s) for s in samples)
    reasons = Counter(p.reason for s in samples for p in s if p.answer is None)
    rights = [[p.answer is not None and p.answer == g for p in s] for s, g in zip(samples, gold, strict=True)]
    right = sum(map(sum, rights))
    winners = [v.answer is not None and v.answer == g for v, g in zip(votes, gold, strict=True)]
    strict = [w for v, w in zip(votes, winners, strict=True) if v.answer is not None and not v.tie]
    agreement = [v.votes / v.candidates for v in votes if v.candidates]
    return {
        "questions": len(samples),
        "samples": total,
        "single": 100 * right / max(total, 1),
        "single_error": _error([(sum(r), len(r)) for r in rights if r]),
        "vote": 100 * sum(winners) / max(len(votes), 1),
        "agreement": 100 * sum(agreement) / max(len(agreement), 1),
        "ties": sum(v.tie for v in votes),
        "majority_right": sum(strict),
        "majority_wrong": len(strict) - sum(strict),
        "uncued": sum(p.uncued for s in samples for p in s),
        "unparsed": sum(reasons.values()),
        **{f"unparsed.{reason}": count for reason, count in sorted(reasons.items(), key=str)},
    }


def _error(counts: Sequence[tuple[int, int]]) -> float:
    """Standard error, in points, of a ratio over (right, samples) of independent questions."""
    total, n = sum(m for _, m in counts), len(counts)
    if n < 2:
        return 0.0
    share = sum(right for right, _ in counts) / total
    spread = sum((right - share * m) ** 2 for right, m in counts)
    return float(100 * (n / (n - 1) * spread) ** 0.5 / total)


def set_statistics(sets: Sequence[RationaleSet]) -> dict[str, float]:
    """Counts of questions without label, positives or negatives, and of excluded rationales; means per
    question."""
    return {
        "without_label": sum(s.label is None for s in sets),
        "without_positive": sum(not s.positives for s in sets),
        "without_negative": sum(not s.negatives for s in sets),
        "unread": sum(s.unread for s in sets),
        "equal_positive": sum(s.equal for s in sets),
        "positives": sum(len(s.positives) for s in sets) / max(len(sets), 1),
        "negatives": sum(len(s.negatives) for s in sets) / max(len(sets), 1),
        "distinct_positives": sum(len(set(s.positives)) for s in sets) / max(len(sets), 1),
        "distinct_negatives": sum(len(set(s.negatives)) for s in sets) / max(len(sets), 1),
    }
