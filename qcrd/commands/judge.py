"""`qcrd judge`: an LLM judge compares the rationales of two cells (Tables 8 and 9)."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Set, changes
from qcrd.commands.terminal import plain


def judge(
    a: Annotated[
        str, typer.Argument(metavar="A", help="Id of a cell or a prefix of it; with --grid a method or name.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The cell to compare it with, likewise.")],
    teacher: Annotated[
        Path,
        typer.Option(help="The judge's YAML file, with `teacher:` and optionally `resources:`."),
    ],
    grid: Annotated[
        Path | None, typer.Option(help="Compare the cells of this grid that have the same task and seed.")
    ] = None,
    settings: Set = None,
    questions: Annotated[int, typer.Option(min=1, help="Number of random test questions.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the questions.")] = 0,
    tau: Annotated[
        list[float] | None,
        typer.Option(min=0, help="Temperature of the students; repeatable. [default: 0 and 0.7]"),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="File with a prompt template that replaces judging/prompts/pair.txt.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Let an LLM judge which of two cells' students explains better; each pair is shown in both orders.

    The judge is configured like a teacher, in a file such as

      teacher: {engine: openai, model: gpt-3.5-turbo, max_tokens: 128}

    Its answers are stored like samples and reused.

    Examples:

      qcrd judge dss qcrd --grid grids/quickstart.yaml --teacher judge.yaml

      qcrd judge 3f9a 81c0 --teacher judge.yaml --questions 200 --tau 0
    """
    from qcrd.errors import ConfigError
    from qcrd.grid.console import SamplingProgress, say
    from qcrd.grid.plan.study import Study
    from qcrd.grid.run.judges import judge_engine, pair_cells, read_judge
    from qcrd.judging import formats
    from qcrd.judging.cells import Explainer
    from qcrd.judging.prompt import template
    from qcrd.judging.ranking import compare, rank
    from qcrd.storage.home import Home

    home, chosen, prompt_template = Home.default(), read_judge(teacher), template(prompt)
    taus = list(dict.fromkeys(tau or (0.0, 0.7)))
    with redirect_stdout(sys.stderr):  # progress goes to stderr, only the result to stdout
        pairs = [(a, b)]
        if grid:
            pairing = pair_cells(Study.open(grid, home, changes=changes(settings, None)), a, b)
            pairs = pairing.pairs
            for name in pairing.unfinished:
                say(f"skipped, since it is not finished: {name}")
        comparisons = []
        for ids in pairs:
            first, second = (Explainer.find(home, each) for each in ids)
            if first.id == second.id:
                raise ConfigError(f"{a!r} and {b!r} are one cell, {first.name}; name two")
            say(f"students: {first.name} and {second.name} explain {questions} test questions")
            comparisons += compare(first, second, taus, questions, seed)
        rankings = rank(
            comparisons,
            chosen.teacher,
            prompt_template,
            home,
            lambda requests: judge_engine(chosen, requests, home, say),
            SamplingProgress(who="judge"),
        )
    if as_json:
        output = formats.as_object(rankings, chosen.teacher, seed)
        typer.echo(json.dumps(output, indent=1, ensure_ascii=False))
    else:
        typer.echo(plain(formats.text(rankings, chosen.teacher, seed)))
