"""Warnings about settings of a grid that have no effect, given before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from qcrd.cell.identity import needs_discriminator
from qcrd.config import Cell, Task
from qcrd.grid.plan.expansion import VARIANT, PlannedCell
from qcrd.grid.plan.factors import short_name, value_text
from qcrd.report.activity import IDLE, SOURCES
from qcrd.storage.files import read_json
from qcrd.storage.home import RECORD, Home

LOSS_SETTINGS = ("contrastive.delta", "contrastive.negative", "contrastive.key_weight")
SELFPLAY_SETTINGS = ("selfplay.k", "selfplay.tau", "selfplay.top_k", "selfplay.top_p", "selfplay.lag")


def warnings(
    cells: Sequence[PlannedCell], todo: Sequence[bool], home: Home, train: Mapping[Task, int]
) -> list[str]:
    """Warnings about settings that have no effect.

    Args:
        cells: cells of the grid.
        todo: for each cell whether it is still to be trained.
        home: the home with the statistics of finished cells.
        train: number of training questions of each task.
    """
    unfinished = [cell for cell, is_todo in zip(cells, todo, strict=True) if is_todo]
    contrastive = [cell for cell in unfinished if cell.cell.method.contrasts]
    sentences = [
        *_unread_factors(cells),
        *_ineffective_factors(contrastive),
        *_lag_warnings(contrastive, train),
    ]
    records = _latest_records(home, {_kind(planned.cell.settings) for planned in contrastive})
    for planned in contrastive:
        settings = planned.cell.settings
        if (record := records.get(_kind(settings))) is not None:
            sentences += _inactive_negatives(settings, record)
    return list(dict.fromkeys(sentences))


def _unread_factors(cells: Sequence[PlannedCell]) -> Iterator[str]:
    """Factors whose values all give the same cells, because no method in the grid reads them."""
    rows = [planned.rows for planned in cells if planned.cell.settings.seed == cells[0].cell.settings.seed]
    swept = {row.factor for own in rows for row in own if row.factor is not None}
    for path in sorted(swept):
        own = [cell_rows for cell_rows in rows if any(row.factor == path for row in cell_rows)]
        if all(any(row.factor is None for row in cell_rows) for cell_rows in own):
            yield f"sweep.{path} has no effect: no method of this grid reads it, or its values are the base's"
    for path in sorted({path for own in rows for row in own for path in row.product} - {"method", VARIANT}):
        values = [{value_text(row.product[path]) for row in own} for own in rows]
        if len(rows) and all(own == values[0] for own in values) and len(values[0]) > 1:
            yield f"product.{path} has no effect: no method of this grid reads it"


def _ineffective_factors(cells: Sequence[PlannedCell]) -> Iterator[str]:
    """Factors that have no effect because of another setting of the same cells."""
    factors = {path for planned in cells for row in planned.rows for path in row.factors}
    for path in sorted(factors & {*LOSS_SETTINGS, *SELFPLAY_SETTINGS}):
        varied = [p.cell.settings for p in cells if any(path in row.factors for row in p.rows)]
        if all(cell.contrastive.beta == 0 for cell in varied):
            discriminator_learns = path in SELFPLAY_SETTINGS and any(
                needs_discriminator(cell) for cell in varied
            )
            exception = (
                ", except for what the discriminator learns from self-play" if discriminator_learns else ""
            )
            yield f"{short_name(path)} has no effect if beta is 0, as in all cells that vary it{exception}"
    settings = [p.cell.settings for p in cells]
    greedy = [cell for cell in settings if cell.selfplay.tau == 0 and cell.selfplay.k > 1]
    if greedy:
        values = ", ".join(sorted({value_text(cell.selfplay.k) for cell in greedy}))
        yield f"k {values}: with tau 0 all k rationales are identical; set tau above 0, or k: 1"


def _lag_warnings(cells: Sequence[PlannedCell], train: Mapping[Task, int]) -> Iterator[str]:
    """Self-play that only ever uses the initial weights, because its lag is too large."""
    for cell in (planned.cell.settings for planned in cells):
        training, questions = cell.training, train.get(cell.task)
        if not cell.selfplay.k or questions is None:
            continue
        steps = training.iteration or ceil(questions / min(training.batch, questions))
        iterations, shorter = ceil(training.steps / steps), training.steps // (cell.selfplay.lag + 2)
        if iterations < cell.selfplay.lag + 2:
            yield (
                f"selfplay.lag {cell.selfplay.lag}: all {iterations} iterations of the training play "
                "against the initial weights; lower it"
                + (f", or set training.iteration: {shorter}" if shorter else "")
            )


def _inactive_negatives(cell: Cell, record: dict[str, Any]) -> Iterator[str]:
    """Negatives that the loss ignores, judging by the last finished cell of the same kind."""
    statistics, delta = record["statistics"], cell.contrastive.delta
    if not cell.contrastive.beta or "negatives/chosen" not in statistics:
        return
    recorded_delta = record["settings"]["contrastive"]["delta"]
    for source, description in SOURCES.items():
        if source == "selfplay" and not (cell.selfplay.k and _same_sampling(cell, record)):
            continue
        share, least = (statistics.get(f"negatives/{source}_{name}") for name in ("active", "least"))
        source_cell = f"in {record['name']}, the last finished cell of this kind,"
        if share is not None and share < IDLE and delta <= recorded_delta:
            evidence = (
                f"{source_cell} {100 * share:.1f}% of {description} that were chosen were within delta "
                f"{recorded_delta:g}"
            )
        elif least is not None and delta <= least:
            evidence = f"{source_cell} the most likely of {description} had l = {least:.2f}"
        else:
            continue
        yield f"delta {delta:g}, {description}: beta has no effect on them: {evidence}"


def _same_sampling(cell: Cell, record: dict[str, Any]) -> bool:
    """Whether the recorded cell sampled self-play like this one; else its negatives say nothing about it."""
    recorded = record["settings"]["selfplay"]
    return all(
        recorded.get(name) == getattr(cell.selfplay, name) for name in ("tau", "top_k", "top_p", "lag")
    )


def _kind(cell: Cell) -> str:
    """Key of cells with similarly likely negatives: method, task, teacher, student, steps, learning rate."""
    return "\n".join(
        [
            cell.method,
            cell.task.model_dump_json(),
            cell.teacher.model_dump_json(),
            cell.student.model_dump_json(),
            f"{cell.training.steps} {cell.training.lr}",
        ]
    )


def _latest_records(home: Home, kinds: set[str]) -> dict[str, dict[str, Any]]:
    """The latest record of each kind in `kinds`, by kind."""
    paths = (home.root / "cells").glob(f"*/{RECORD}") if kinds else ()
    latest = {}
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        record = read_json(path)
        if record is None or record["status"] != "done":
            continue
        try:
            kind = _kind(Cell.model_validate(record["settings"]))
        except ValueError:  # written by another version
            continue
        if kind in kinds:
            latest[kind] = record
    return latest
