"""Which negatives of a cell pushed its student at all, and which term of its loss did nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import fmean

from qcrd.types import CellRecord

IDLE = 0.01  # share of the chosen negatives below which those that push count as none
SOURCES = {"teacher": "the teacher's negatives", "selfplay": "self-play's negatives"}


def active(records: Iterable[CellRecord], source: str) -> float | None:
    """Mean over the cells: share of the chosen negatives of a source that were within the margin.

    None where no cell chose any, or where it was not counted, as by earlier versions.
    """
    found = (record.statistics.get(f"negatives/{source}_active") for record in records)
    shares = [share for share in found if share is not None]
    return fmean(shares) if shares else None


def idle(record: CellRecord) -> str | None:
    """Which of its negatives did nothing though its loss counts them; None where all did something."""
    counted, settings = record.statistics, record.settings
    section = settings.get("edit" if settings.get("method") == "edit" else "contrastive", {})
    if "negatives/chosen" not in counted or not section.get("beta"):
        return None
    margin = f"within the margin δ = {section['delta']:g}"
    if not counted["negatives/chosen"]:
        return "there was no negative to push away from"
    if counted["negatives/active"] < IDLE:
        return f"the negatives did nothing, less than 1% of the chosen were {margin}"
    own = counted.get("negatives/selfplay_chosen", 0.0)
    asked = {"teacher": True, "selfplay": "selfplay/tokens" in counted}
    for source, chosen in (("teacher", 1 - own), ("selfplay", own)):
        pushing = chosen * counted.get(f"negatives/{source}_active", 0.0)
        if asked[source] and pushing < IDLE:
            return f"{SOURCES[source]} did nothing, less than 1% of the chosen were theirs and {margin}"
    return None


def idle_notes(name: str, records: Iterable[CellRecord]) -> list[str]:
    """A sentence for each thing that did nothing in some of a line's cells."""
    records = list(records)
    found = Counter(filter(None, map(idle, records)))
    return [f"{name}: in {count} of {len(records)} cells {text}" for text, count in found.items()]
