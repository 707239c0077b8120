"""Formats rankings as text and JSON, next to the paper's results (Table 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from qcrd.config import Teacher
from qcrd.judging.cells import Explainer
from qcrd.judging.ranking import STOP, Comparison, Ranking
from qcrd.judging.tally import Share, Tally
from qcrd.report.paper import published
from qcrd.samples.requests import sampler_key
from qcrd.teacher.engines import sampler_identity

HEADER = (
    "pair", "task", "tau", "A better", "both good", "B better", "unread", "B of decided", "p", "paper",
    "first shown chosen", "orders agree",
)  # fmt: skip


def text(rankings: Sequence[Ranking], judge: Teacher, seed: int) -> str:
    """Rankings as Markdown that is also readable in a terminal."""
    pairs = list(dict.fromkeys((r.comparison.a, r.comparison.b) for r in rankings))
    rows = [HEADER, *(_row(r, 1 + pairs.index((r.comparison.a, r.comparison.b))) for r in rankings)]
    if all(row[HEADER.index("paper")] == "" for row in rows[1:]):
        rows = [[value for name, value in zip(HEADER, row, strict=True) if name != "paper"] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    head = (
        f"judge {judge.name} ({judge.engine}), temperature {judge.temperature:g}; questions drawn with seed "
        f"{seed}; each pair is asked in both orders, and orders that contradict each other count as both good"
    )
    return "\n".join(["## Which rationales are better", "", head, "", *lines, "", *_notes(rankings, pairs)])


def as_object(rankings: Sequence[Ranking], judge: Teacher, seed: int) -> dict[str, Any]:
    """Rankings for JSON: counts, shares, and every question with rationales, answers and verdict."""
    return {
        "judge": judge.model_dump(mode="json"),
        "sampler": sampler_key(sampler_identity(judge, STOP)),  # where its answers are stored
        "seed": seed,
        "comparisons": [
            {
                "task": _task(r.comparison),
                "tau": r.comparison.tau,
                "cells": {
                    side: {"id": each.id, "name": each.name}
                    for side, each in (("a", r.comparison.a), ("b", r.comparison.b))
                },
                "tally": asdict(r.tally),
                "paper": paper(r.comparison),
                "judged": [{**asdict(each), "verdict": each.verdict} for each in r.judged],
            }
            for r in rankings
        ],
    }


def paper(comparison: Comparison) -> dict[str, int] | None:
    """Table 9's counts for the same task and temperature, by a, both and b; None if it has none."""
    methods = (comparison.a.cell.method.name, comparison.b.cell.method.name)
    if set(methods) != {"dss", "qcrd"}:
        return None
    better = {"a": methods[0], "both": "both", "b": methods[1]}
    task, tau = _task(comparison), comparison.tau
    counts = {side: published("table9", task=task, tau=tau, better=name) for side, name in better.items()}
    whole = {side: int(count) for side, count in counts.items() if count is not None}
    return whole if len(whole) == len(counts) else None


def _row(ranking: Ranking, number: int) -> list[str]:
    counts, published_counts = ranking.tally, paper(ranking.comparison)
    return [
        f"[{number}]",
        _task(ranking.comparison),
        f"{ranking.comparison.tau:g}",
        str(counts.a),
        str(counts.both),
        str(counts.b),
        str(counts.unread),
        _percent(counts.b_share),
        _p_value(counts),
        "/".join(map(str, published_counts.values())) if published_counts else "",
        _percent(counts.shown_first),
        _percent(counts.consistent),
    ]


def _notes(rankings: Sequence[Ranking], pairs: Sequence[tuple[Explainer, Explainer]]) -> list[str]:
    notes = [
        f"[{i}] A is {a.name} ({a.id}), B is {b.name} ({b.id})  " for i, (a, b) in enumerate(pairs, start=1)
    ]
    for r in rankings:
        where = f"{_task(r.comparison)}, tau {r.comparison.tau:g}"
        if r.tally.identical:
            notes.append(f"{where}: pairs of the same text, both good without asking: {r.tally.identical}  ")
        if r.tally.unreadable:
            reasons = ", ".join(f"{reason} {count}" for reason, count in r.tally.unreadable.items())
            remedy = "; raise teacher.max_tokens" if "truncated" in r.tally.unreadable else ""
            notes.append(f"{where}: answers that could not be read: {reasons}{remedy}  ")
    notes.append("In brackets: 95% intervals (Wilson). p: sign test over the decided questions  ")
    if any(paper(r.comparison) for r in rankings):
        notes.append("paper: Table 9, A better/both good/B better of 50; T5-base, judged by GPT-3.5-turbo  ")
    return notes


def _p_value(counts: Tally) -> str:
    if not counts.b_share:
        return "-"  # no question was decided
    return "<0.001" if counts.p < 0.001 else f"{counts.p:.3f}"


def _percent(share: Share | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share.share:.0f}% [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _task(comparison: Comparison) -> str:
    return comparison.a.cell.settings.task.name
