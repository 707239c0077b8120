"""`qcrd why`: traces a table entry back to predictions, rationales, samples, prompt and teacher."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.terminal import plain


def why(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="Id of a cell or a prefix of it; with --grid its name.")
    ],
    question: Annotated[
        str | None, typer.Option(metavar="N|ID", help="Question to trace: its number from 0, or its id.")
    ] = None,
    split: Annotated[
        Literal["test", "validation", "train"], typer.Option(help="Split to which the number refers.")
    ] = "test",
    grid: Annotated[Path | None, typer.Option(help="Grid of the named cell.")] = None,
    settings: Set = None,
    limit: Limit = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the provenance of a result: cell, predictions, rationales, samples, prompt and teacher.

    Without --question: the cell's scores and everything that it depends on. With a test question: the
    student's answer. With a training question: its rationales with their scores, which of them the method
    selects, the vote, and the teacher's raw answers with the prompt.

    Examples:

      qcrd why 3f9a

      qcrd why "qcrd beta=0.4 seed=0" --grid grids/ablation.yaml

      qcrd why 3f9a --question 17

      qcrd why 3f9a --question 17 --split train

      qcrd why 3f9a --question svamp-train-204 --json | jq '.question.answers.draws'
    """
    from qcrd.cell.finished import FinishedCell
    from qcrd.commands.cells import finished_id
    from qcrd.provenance.entry import entry
    from qcrd.provenance.question import trace
    from qcrd.provenance.text import as_object, entry_text, trace_text
    from qcrd.storage.home import Home

    home = Home.default()
    # The name in this grid; the cell may have been trained for another one.
    cell, name = finished_id(home, cell, grid, changes(settings, limit))
    ended = FinishedCell.find(home, cell)
    result = entry(ended, home)
    result = replace(result, name=name or result.name)
    question_trace = trace(ended, home, question, split) if question is not None else None
    if as_json:
        output = {"cell": as_object(result), "question": as_object(question_trace)}
        typer.echo(json.dumps(output, indent=1, ensure_ascii=False))
    elif question_trace is None:
        typer.echo(plain(entry_text(result)))
    else:
        typer.echo(plain(f"cell {result.id}: {result.name}\n{trace_text(question_trace, result)}"))
