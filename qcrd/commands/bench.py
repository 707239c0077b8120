"""`qcrd bench`: how fast this machine is at what the project does, ours against the plain way, in ratios."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Measure speed, in ratios of ours to the plain way.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]


@app.callback()
def bench() -> None:
    """Measure speed, in ratios of ours to the plain way: by turns in one run, several times, medians."""


@app.command()
def sampling(
    grid: Annotated[
        Path | None, typer.Argument(help="Whose teacher and task; without one the embedded preset's.")
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Training questions.")] = 400,
    m: Annotated[int, typer.Option(min=1, help="Answers per question.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="How often each way is timed.")] = 5,
    as_json: Json = False,
) -> None:
    """Our way from requests to stored samples against one call of vllm.LLM.generate on the same engine.

    Start-up is apart. Two engines side by side are measured as well where there is room.

    Examples:

      qcrd bench sampling

      qcrd bench sampling grids/table1.yaml --questions 2000 --rounds 3
    """
    from qcrd.config import Cell
    from qcrd.errors import ConfigError
    from qcrd.grid.bench import bench_sampling
    from qcrd.grid.study import Study
    from qcrd.home import Home
    from qcrd.presets import EMBEDDED

    home = Home.default()
    if grid is None:
        cell = Cell.model_validate(EMBEDDED)
    else:
        needs = [cell for _, cell in Study.open(grid, home).needs() if cell.teacher.engine == "vllm"]
        if not needs:
            raise ConfigError(f"{grid}: none of its cells samples a teacher with vLLM; give a grid that does")
        cell = needs[0]
    found = bench_sampling(cell, home, m, questions, rounds, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(asdict(found), indent=1) if as_json else found.text())
