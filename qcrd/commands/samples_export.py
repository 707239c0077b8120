"""`qcrd samples export`: the teachers' answers as files for other programs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.splits import SplitName
from qcrd.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qcrd.grid.plan.changes import Changes


def export(
    source: Annotated[
        str, typer.Argument(metavar="SAMPLER|GRID", help="Id of `qcrd samples ls`, or a grid's YAML file.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write. [default: standard output, as lines]")
    ] = None,
    form: Annotated[
        Literal["recorded", "jsonl", "parquet", "datasets"] | None,
        typer.Option("--format", help="[default: recorded for a sampler, jsonl for a grid]"),
    ] = None,
    kind: Annotated[
        Literal["samples", "sft", "dpo"], typer.Option("--as", help="What a row is; sft and dpo are TRL's.")
    ] = "samples",
    style: Annotated[
        Literal["conversational", "standard"], typer.Option(help="Of sft and dpo: messages, or plain text.")
    ] = "conversational",
    split: Annotated[
        list[SplitName] | None,
        typer.Option(help="Split to export; repeatable. [default: train]"),
    ] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Most dpo pairs of one question.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what was exported before.")] = False,
    settings: Set = None,
    limit: Limit = None,
) -> None:
    """Write the teacher's answers: as recorded answers, as a table, or as training data for TRL.

    recorded: JSON lines that `teacher: {engine: recorded, path: FILE}` can read, with id and samples, and for
    information prompt, prompt_id, finish_reasons and tokens. Questions with the same prompt share their
    answers, which are exported under the id of one of them.

    jsonl, parquet, datasets (a folder for datasets.load_dataset): a row per answer with question, gold label,
    answer, rationale, label, whether it is right, model and ids. A sampler does not say of which task its
    answers are, so that only a grid has questions, labels, sft and dpo.

    sft: the distinct right rationales of each question. dpo: pairs of a right and a wrong one, the first
    right one with the first wrong one, the second with the second, and so on. What is left out is counted.

    Examples:

      qcrd samples export 3f9a --out answers.jsonl

      qcrd samples export 3f9a | jq -r '.samples[0]'

      qcrd samples export grids/quickstart.yaml --format parquet --out answers.parquet

      qcrd samples export grids/quickstart.yaml --as dpo --format datasets --out pairs
    """
    from qcrd.grid.plan.shipped_folder import names_grid

    grid = Path(source) if names_grid(source) else None
    form = form or ("jsonl" if grid else "recorded")
    if not grid and (settings or limit):
        raise ConfigError(f"--set and --limit need a grid; {source!r} is a sampler")
    if form == "recorded":
        if grid or kind != "samples" or split:
            raise ConfigError(
                "--format recorded is of a sampler's answers alone; allowed: jsonl, parquet, datasets"
            )
        _recorded(source, out)
        return
    if form != "jsonl" and out is None:
        raise ConfigError(f"--format {form} needs --out, where it goes")
    if not grid and (kind != "samples" or split):
        raise ConfigError(
            f"--as and --split need a grid, which says of which task the answers are; {source!r} is a sampler"
        )
    if pairs is not None and kind != "dpo":
        raise ConfigError(f"--pairs is of --as dpo, not {kind}")
    _table(
        source,
        grid,
        out,
        form,
        kind,
        style,
        tuple(dict.fromkeys(map(str, split or ("train",)))),
        pairs,
        overwrite,
        changes(settings, limit),
    )


def _recorded(sampler: str, out: Path | None) -> None:
    """Answers in the format of recorded ones."""
    from qcrd.samples.inventory import find, lines
    from qcrd.storage.files import atomic
    from qcrd.storage.home import Home

    folder = find(Home.default().samples, sampler)
    exported = list(lines(folder))
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in exported)
    if out is None:
        typer.echo(text, nl=False)
    else:
        with atomic(out.absolute()) as temporary:
            temporary.write_text(text, encoding="utf-8")
    duplicates = len(exported) - len({line["id"] for line in exported})
    typer.echo(f"{len(exported) - duplicates} questions", err=True)
    if duplicates:
        typer.echo(
            f"{duplicates} lines are of questions that were asked with several prompts. Recorded answers "
            "need one line per question: keep the line with the prompt that you want",
            err=True,
        )


def _table(
    source: str,
    grid: Path | None,
    out: Path | None,
    form: Literal["jsonl", "parquet", "datasets"],
    kind: Literal["samples", "sft", "dpo"],
    style: Literal["conversational", "standard"],
    splits: tuple[str, ...],
    pairs: int | None,
    overwrite: bool,
    changed: Changes,
) -> None:
    """Answers, or what is made of them, as rows."""
    from qcrd.export import samples as export_samples
    from qcrd.export import tables
    from qcrd.samples.inventory import find
    from qcrd.storage.home import Home

    out = out.expanduser().absolute() if out else None
    if out:
        tables.refuse_full(out, form, overwrite)
    left_out: Counter[str] = Counter()
    if grid is None:
        by_split = {"train": export_samples.stored_rows(find(Home.default().samples, source))}
        about = f"Answers of the sampler {source}."
    else:
        by_split, about = _of_grid(grid, changed, kind, style, splits, pairs, left_out)
    count = sum(map(len, by_split.values()))
    said = f"{count:,} {'pairs' if kind == 'dpo' else 'rows'}"
    if left_out:
        said += "; answers left out: " + ", ".join(f"{n:,} {reason}" for reason, n in left_out.most_common())
    if out is None:
        for row in (row for rows in by_split.values() for row in rows):
            typer.echo(json.dumps(row, ensure_ascii=False))
    else:
        tables.write(out, by_split, form, kind, f"{about}\n\n{said}.", overwrite)
    typer.echo(said, err=True)


def _of_grid(
    grid: Path,
    changed: Changes,
    kind: Literal["samples", "sft", "dpo"],
    style: Literal["conversational", "standard"],
    splits: tuple[str, ...],
    pairs: int | None,
    left_out: Counter[str],
) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """The rows of all teachers of a grid by split, and what they are."""
    from qcrd.export.samples import rows
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home

    study = Study.open(grid, Home.default(), changes=changed)
    by_split: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    teachers = []
    for need, cell in study.sample_needs():
        teachers.append(f"{need.teacher.name} ({need.task.name}, {need.m} answers a question)")
        for split in splits:
            found = rows(cell, study.home, need.m, [split], left_out)
            if kind != "samples":
                from qcrd.export import preferences

                if kind == "sft":
                    found = preferences.sft(found, cell.task.target, style, left_out)
                else:
                    found = preferences.dpo(found, cell.task.target, style, left_out, pairs)
            by_split[split] += found
    if not teachers:
        raise DataError(f"{study.grid.name}: none of its cells uses answers of a teacher")
    if not any(by_split.values()):
        reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.most_common())
        raise DataError(
            f"{study.grid.name}: nothing to export ({reasons}); `qcrd sample {grid}` draws answers"
        )
    made = {"samples": "Answers", "sft": "Right rationales (TRL's SFT)", "dpo": "Pairs (TRL's DPO)"}[kind]
    return by_split, f"{made} of {'; '.join(Path(t).name for t in teachers)}, by the grid {study.grid.name}."
