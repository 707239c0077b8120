"""`qcrd samples`: what the teachers have answered, and keeping it in order."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcrd.commands.terminal import plain

if TYPE_CHECKING:
    from qcrd.storage.home import Home

app = typer.Typer(no_args_is_help=True, help="Look at the teachers' stored answers, check them, tidy up.")

SamplerId = Annotated[
    str, typer.Argument(metavar="SAMPLER", help="Its id in `qcrd samples ls`, or how that begins.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON list, for programs.")]


@app.callback()
def samples() -> None:
    """Look at the teachers' stored answers, check them, tidy up. They are in QCRD_HOME/samples."""


@app.command("ls")
def list_samplers(as_json: Json = False) -> None:
    """List the samplers: a teacher with all its settings has one, whichever grids use it.

    Examples:

      qcrd samples ls

      qcrd samples ls --json | jq '.[] | select(.damaged > 0) | .id'
    """
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    from qcrd.samples.inventory import samplers, summary

    found = [summary(folder) for folder in samplers(_root())]
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in found], indent=1))
        return
    table = Table("sampler", "engine", "model", "temperature", box=None)
    for name in ("questions", "samples", "cut off", "shards", "size"):
        table.add_column(name, justify="right")
    table.add_column("last written")
    for s in found:
        temperature = "" if s.temperature is None else f"{s.temperature:g}"
        counts = (s.questions, s.samples, s.cut_off, s.shards)
        note = f"{s.written} ({s.damaged} damaged)" if s.damaged else s.written
        table.add_row(
            s.id, s.engine, s.model, temperature, *(f"{n:,}" for n in counts), decimal(s.bytes), note
        )
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
    if not found:
        typer.echo(f"{_root()} holds no samples; `qcrd sample GRID` draws some")


@app.command()
def show(
    sampler: SamplerId,
    id: Annotated[
        str | None, typer.Argument(help="Of a question or a prompt; without it the first ones.")
    ] = None,
    n: Annotated[int, typer.Option(min=1, help="Prompts to show where no id is given.")] = 1,
) -> None:
    """Print prompts and answers as they were asked and drawn.

    Examples:

      qcrd samples show 3f9a

      qcrd samples show 3f9a svamp-train-17
    """
    from qcrd.samples.inventory import answers, find

    found = answers(find(_root(), sampler), id)
    for asked in found if id else found[:n]:
        typer.echo(plain(f"=== question {asked.question_id}, prompt {asked.prompt_id}\n{asked.prompt}"))
        for i in sorted(asked.texts):
            head = f"--- answer {i}: {asked.finish_reasons[i]}, {asked.tokens[i]} tokens"
            typer.echo(plain(f"{head}\n{asked.texts[i]}"))


@app.command()
def export(
    sampler: SamplerId,
    out: Annotated[Path | None, typer.Option(help="File to write; without it the lines are printed.")] = None,
) -> None:
    """Write the answers as JSON lines, which `teacher: {engine: recorded, path: FILE}` reads back.

    A line has id and samples, and for the reader prompt, prompt_id, finish_reasons and tokens. Questions
    with the same prompt share their answers, which have the id of one of them.

    Examples:

      qcrd samples export 3f9a --out answers.jsonl

      qcrd samples export 3f9a | jq -r '.samples[0]'
    """
    from qcrd.samples.inventory import find, lines
    from qcrd.storage.files import atomic

    folder = find(_root(), sampler)
    found = list(lines(folder))
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found)
    if out is None:
        typer.echo(text, nl=False)
    else:
        with atomic(out.absolute()) as temporary:
            temporary.write_text(text, encoding="utf-8")
    doubles = len(found) - len({line["id"] for line in found})
    typer.echo(f"{len(found) - doubles} questions", err=True)
    if doubles:
        typer.echo(
            f"{doubles} lines are of questions that were asked with several prompts. Recorded answers "
            "have one line per question: keep that with the prompt you mean",
            err=True,
        )


@app.command()
def verify(
    sampler: Annotated[str | None, typer.Argument(metavar="[SAMPLER]", help="One; without it all.")] = None,
) -> None:
    """Check every stored file against its checksum, and each identity against its folder. Changes nothing.

    Ends with 1 where something is damaged.

    Examples:

      qcrd samples verify

      qcrd samples verify 3f9a
    """
    from qcrd.samples.inventory import faults, find, samplers

    folders = [find(_root(), sampler)] if sampler else samplers(_root())
    found = [fault for folder in folders for fault in faults(folder)]
    for path, why in found:
        typer.echo(f"{path}: {why}")
    if found:
        typer.echo(
            f"{len(found)} files are damaged. Only the samples in them are drawn again, by the next run that "
            "needs them; all others stay. `qcrd samples gc --yes` deletes what was put aside."
        )
        raise typer.Exit(1)
    typer.echo(f"{len(folders)} samplers, nothing damaged")


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only said.")] = False,
    sampler: Annotated[
        str | None, typer.Option(metavar="ID", help="Delete this sampler with all its samples instead.")
    ] = None,
) -> None:
    """Delete what killed jobs and damage have left behind, and merge small files into large ones.

    Samplers that a job is writing to are left alone.

    Examples:

      qcrd samples gc                      what would be done

      qcrd samples gc --yes

      qcrd samples gc --sampler 3f9a --yes
    """
    from qcrd.samples import inventory

    if sampler:
        folder = inventory.find(_root(), sampler)
        found = inventory.summary(folder)
        what = f"{folder}: {found.samples:,} samples to {found.questions:,} questions of {found.model}"
        if yes:
            inventory.remove(folder, _home())
        typer.echo(f"{'deleted' if yes else 'would delete'} {what}")
    else:
        for folder in inventory.samplers(_root()):
            files, before = inventory.rubbish(folder), len(list(folder.glob("*.parquet")))
            if not yes:
                typer.echo(f"{folder.name}: {before} shards; {len(files)} files to delete")
                for file in files:
                    typer.echo(f"  {file}")
            elif holder := inventory.tidy(folder, _home()):
                typer.echo(f"{folder.name}: left alone, in use by {holder}")
            else:
                after = len(list(folder.glob("*.parquet")))
                typer.echo(f"{folder.name}: {len(files)} files deleted, {before} shards are now {after}")
        if yes:
            inventory.clear(_root())
    if not yes:
        typer.echo("nothing was changed; --yes does it")


def _home() -> Home:
    from qcrd.storage.home import Home

    return Home.default()


def _root() -> Path:
    """Where all samples are, with those that other machines have brought to the bucket."""
    return _home().fetch(_home().samples)
