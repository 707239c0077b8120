"""`qcrd why`: an entry of a table, followed back to predictions, rationales, samples, prompt and teacher."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qcrd.commands.terminal import plain
from qcrd.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from qcrd.grid.plan.study import Study


def why(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="Id of a cell or its beginning; with --grid its name.")
    ],
    question: Annotated[
        str | None, typer.Option(metavar="N|ID", help="Follow this question: its number from 0, or its id.")
    ] = None,
    split: Annotated[
        Literal["test", "validation", "train"], typer.Option(help="Whose number it is.")
    ] = "test",
    grid: Annotated[Path | None, typer.Option(help="The grid whose cell is named.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Say where a figure comes from: cell, predictions, rationales and choices, samples, prompt, teacher.

    Without --question: what the cell scored and all that it depends on. With a test question: what the
    student answered. With a training question: its rationales with their scores, which of them the method
    takes, the vote, and the teacher's raw answers with the prompt.

    Examples:

      qcrd why 3f9a

      qcrd why "qcrd beta=0.4 seed=0" --grid grids/ablation.yaml

      qcrd why 3f9a --question 17

      qcrd why 3f9a --question 17 --split train

      qcrd why 3f9a --question svamp-train-204 --json | jq '.question.answers.draws'
    """
    from qcrd.cell.finished import Ended
    from qcrd.grid.plan.study import Study
    from qcrd.provenance.entry import entry
    from qcrd.provenance.question import trace
    from qcrd.provenance.text import as_object, entry_text, trace_text
    from qcrd.storage.home import Home

    home = Home.default()
    name = None  # the one of the grid that is asked about; a cell may have been trained for another
    if grid is not None:
        cell, name = _named(Study.open(grid, home), cell)
    ended = Ended.find(home, cell)
    found = entry(ended, home)
    found = replace(found, name=name or found.name)
    followed = trace(ended, home, question, split) if question is not None else None
    if as_json:
        whole = {"cell": as_object(found), "question": as_object(followed)}
        typer.echo(json.dumps(whole, indent=1, ensure_ascii=False))
    elif followed is None:
        typer.echo(plain(entry_text(found)))
    else:
        typer.echo(plain(f"cell {found.id}: {found.name}\n{trace_text(followed, found)}"))


def _named(study: Study, name: str) -> tuple[str, str | None]:
    """Id and name of the grid's finished cell of that name, with or without its seed, or of that id."""
    names = [each for planned in study.cells for each in planned.names]
    found = [
        (cell_id, planned.name)
        for cell_id, planned in zip(study.ids, study.cells, strict=True)
        if planned.is_called(name)
    ]
    if len(found) == 1:
        cell_id, full = found[0]
        study.home.check_result(cell_id)
        if study.home.record(cell_id) is None:
            raise DataError(f"{study.grid.name}: {full!r} is not finished; `qcrd run` the grid first")
        return cell_id, full
    if found:
        raise ConfigError(
            f"{study.grid.name}: {name!r} is {len(found)} cells; allowed: one of "
            + ", ".join(repr(full) for _, full in found)
        )
    by_id = [
        (i, planned.name) for i, planned in zip(study.ids, study.cells, strict=True) if i.startswith(name)
    ]
    if by_id:
        return by_id[0] if len(by_id) == 1 else (name, None)
    raise ConfigError(
        f"{study.grid.name}: no cell is named {name!r}; `qcrd plan` lists the names and ids"
        + did_you_mean(name, names)
    )
