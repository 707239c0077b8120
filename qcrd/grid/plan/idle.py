"""Settings of a grid that cannot matter, told before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from qcrd.cell.identity import needs_discriminator
from qcrd.config import Cell, Task
from qcrd.grid.plan.expansion import PlannedCell
from qcrd.grid.plan.factors import short, show
from qcrd.report.activity import IDLE, SOURCES
from qcrd.storage.files import read_json
from qcrd.storage.home import RECORD, Home

PUSHING = ("contrastive.delta", "contrastive.negative", "contrastive.key_weight")
PLAYED = ("selfplay.k", "selfplay.tau", "selfplay.top_k", "selfplay.top_p", "selfplay.lag")


def warnings(
    cells: Sequence[PlannedCell], todo: Sequence[bool], home: Home, train: Mapping[Task, int]
) -> list[str]:
    """What in a grid cannot matter, as sentences.

    Args:
        cells: of the grid.
        todo: whether each is still to be trained.
        home: whose finished cells say what was seen.
        train: training questions of each task, by its settings.
    """
    left = [cell for cell, open_ in zip(cells, todo, strict=True) if open_]
    contrastive = [cell for cell in left if cell.cell.method.contrasts]
    sentences = [*_swept(contrastive), *_lags(contrastive, train)]
    seen = _latest(home, {_kind(planned.cell.settings) for planned in contrastive})
    for planned in contrastive:
        settings = planned.cell.settings
        if (record := seen.get(_kind(settings))) is not None:
            sentences += _switched_off(settings, record)
    return list(dict.fromkeys(sentences))


def _swept(cells: Sequence[PlannedCell]) -> Iterator[str]:
    """Factors whose cells have another setting that switches them off."""
    factors = {path for planned in cells for row in planned.rows for path in row.factors}
    for path in sorted(factors & {*PUSHING, *PLAYED}):
        having = [p.cell.settings for p in cells if any(path in row.factors for row in p.rows)]
        if all(cell.contrastive.beta == 0 for cell in having):
            judged = path in PLAYED and any(needs_discriminator(cell) for cell in having)
            through = ", but for what the discriminator learns from self-play" if judged else ""
            yield f"{short(path)} cannot matter where beta is 0, as in all cells that vary it{through}"
    plays = [p.cell.settings for p in cells]
    greedy = [cell for cell in plays if cell.selfplay.tau == 0 and cell.selfplay.k > 1]
    if greedy:
        values = ", ".join(sorted({show(cell.selfplay.k) for cell in greedy}))
        yield f"k {values}: at tau 0 all k are one and the same rationale; set tau above 0, or k: 1"


def _lags(cells: Sequence[PlannedCell], train: Mapping[Task, int]) -> Iterator[str]:
    """Self-play that never reaches a snapshot of the training."""
    for cell in (planned.cell.settings for planned in cells):
        training, questions = cell.training, train.get(cell.task)
        if not cell.selfplay.k or questions is None:
            continue
        steps = training.iteration or ceil(questions / min(training.batch, questions))
        iterations, enough = ceil(training.steps / steps), training.steps // (cell.selfplay.lag + 2)
        if iterations < cell.selfplay.lag + 2:
            yield (
                f"selfplay.lag {cell.selfplay.lag}: each of the training's {iterations} iterations plays "
                "against the initial weights; lower it"
                + (f", or set training.iteration: {enough}" if enough else "")
            )


def _switched_off(cell: Cell, record: dict[str, Any]) -> Iterator[str]:
    """What the last finished cell of its kind says about its negatives."""
    counted, delta = record["statistics"], cell.contrastive.delta
    if not cell.contrastive.beta or "negatives/chosen" not in counted:
        return
    before = record["settings"]["contrastive"]["delta"]
    for source, words in SOURCES.items():
        if source == "selfplay" and not (cell.selfplay.k and _played_alike(cell, record)):
            continue
        share, least = (counted.get(f"negatives/{source}_{name}") for name in ("active", "least"))
        said = f"in {record['name']}, the last finished cell of this kind,"
        if share is not None and share < IDLE and delta <= before:
            what = f"{said} {100 * share:.1f}% of {words} that were chosen lay within delta {before:g}"
        elif least is not None and delta <= least:
            what = f"{said} the likeliest of {words} had l = {least:.2f}"
        else:
            continue
        yield f"delta {delta:g}, {words}: they cannot push, and beta cannot matter to them: {what}"


def _played_alike(cell: Cell, record: dict[str, Any]) -> bool:
    """Whether self-play drew its tokens as the cell will; another way may well be within the margin."""
    before = record["settings"]["selfplay"]
    return all(before.get(name) == getattr(cell.selfplay, name) for name in ("tau", "top_k", "top_p", "lag"))


def _kind(cell: Cell) -> str:
    """Equal for cells whose negatives are about as likely: method, task, teacher, student, length."""
    return "\n".join(
        [
            cell.method,
            cell.task.model_dump_json(),
            cell.teacher.model_dump_json(),
            cell.student.model_dump_json(),
            f"{cell.training.steps} {cell.training.lr}",
        ]
    )


def _latest(home: Home, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """The record of the last finished cell of each kind among `wanted`."""
    paths = (home.root / "cells").glob(f"*/{RECORD}") if wanted else ()
    found = {}
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        record = read_json(path)
        if record is None or record["status"] != "done":
            continue
        try:
            kind = _kind(Cell.model_validate(record["settings"]))
        except ValueError:  # written by another version
            continue
        if kind in wanted:
            found[kind] = record
    return found
