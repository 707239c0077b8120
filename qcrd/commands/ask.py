"""`qcrd ask`: asks a finished cell's student."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.terminal import plain


def ask(
    grid: Annotated[Path, typer.Argument(help="The grid's YAML file.")],
    cell: Annotated[
        str,
        typer.Argument(metavar="CELL", help="Name of a finished cell, or a prefix of its id."),
    ],
    questions: Annotated[
        list[str], typer.Argument(metavar="QUESTION...", help="As the student reads them in training.")
    ],
    choice: Annotated[
        list[str] | None, typer.Option(help="A possible label, if the labels are choices; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
    settings: Set = None,
    limit: Limit = None,
) -> None:
    """Ask a finished cell's student: prints its label and, if its method teaches one, its rationale.

    Examples:

      qcrd ask grids/quickstart.yaml qcrd "Ann has 3 apples. Bob gives her 4 apples. How many has Ann?"

      qcrd ask quiz.yaml "dss seed=1" "What holds tea? (a) net (b) cup" --choice net --choice cup
    """
    from qcrd.api.cell import GridCell
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home

    study = Study.open(grid, Home.default(), changes=changes(settings, limit))
    student = GridCell(study, study.find(cell)).student()
    answers = student(questions, choices=tuple(choice or ()))
    if as_json:
        typer.echo(json.dumps([asdict(answer) for answer in answers], indent=1, ensure_ascii=False))
        return
    for question, answer in zip(questions, answers, strict=True):
        if len(questions) > 1:
            typer.echo(plain(f"=== {question}"))
        typer.echo(plain(f"label: {answer.label or 'none could be read'}"))
        if answer.rationale:
            typer.echo(plain(f"rationale: {answer.rationale}"))
