"""Whether negatives contributed to training: shares within the margin, and loss terms without effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import fmean

from qcrd.types import CellRecord

IDLE = 0.01  # below this share of active negatives, a source counts as having had no effect
SOURCES = {"teacher": "the teacher's negatives", "selfplay": "self-play's negatives"}


def active(records: Iterable[CellRecord], source: str) -> float | None:
    """Share of a source's chosen negatives that were within the margin, as the mean over cells.

    Args:
        records: of the cells.
        source: a key of `SOURCES`.

    Returns:
        0 to 1; None if no cell chose any of them, or none counted them (records of earlier versions).
    """
    values = (record.statistics.get(f"negatives/{source}_active") for record in records)
    shares = [share for share in values if share is not None]
    return fmean(shares) if shares else None


def idle(record: CellRecord) -> str | None:
    """Describe which negatives had no effect although the loss includes them; None if all had one."""
    statistics, settings = record.statistics, record.settings
    section = settings.get("edit" if settings.get("method") == "edit" else "contrastive", {})
    if "negatives/chosen" not in statistics or not section.get("beta"):
        return None
    margin = f"within the margin δ = {section['delta']:g}"
    if not statistics["negatives/chosen"]:
        return "there was no negative to push away from"
    if statistics["negatives/active"] < IDLE:
        return f"the negatives did nothing, less than 1% of the chosen were {margin}"
    selfplay_share = statistics.get("negatives/selfplay_chosen", 0.0)
    in_use = {"teacher": True, "selfplay": "selfplay/tokens" in statistics}
    for source, chosen in (("teacher", 1 - selfplay_share), ("selfplay", selfplay_share)):
        active_share = chosen * statistics.get(f"negatives/{source}_active", 0.0)
        if in_use[source] and active_share < IDLE:
            return f"{SOURCES[source]} did nothing, less than 1% of the chosen were theirs and {margin}"
    return None


def idle_notes(name: str, records: Iterable[CellRecord]) -> list[str]:
    """A note for each kind of negatives that had no effect in some of a line's cells."""
    records = list(records)
    counts = Counter(filter(None, map(idle, records)))
    return [f"{name}: in {count} of {len(records)} cells {text}" for text, count in counts.items()]
