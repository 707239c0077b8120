"""`qcrd samples`: lists, checks, exports and cleans up the teachers' stored answers."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qcrd.commands import samples_export
from qcrd.commands.terminal import plain

if TYPE_CHECKING:
    from qcrd.storage.home import Home

app = typer.Typer(no_args_is_help=True, help="List, check and clean up the teachers' stored answers.")

SamplerId = Annotated[
    str, typer.Argument(metavar="SAMPLER", help="Id of `qcrd samples ls`, or a prefix of it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON list.")]


@app.callback()
def samples() -> None:
    """List, check and clean up the teachers' stored answers in QCRD_HOME/samples."""


@app.command("ls")
def list_samplers(as_json: Json = False) -> None:
    """List the samplers; each stores the answers of a teacher with given settings, for all grids.

    Examples:

      qcrd samples ls

      qcrd samples ls --json | jq '.[] | select(.damaged > 0) | .id'
    """
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    from qcrd.samples.inventory import samplers, summary

    summaries = [summary(folder) for folder in samplers(_root())]
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in summaries], indent=1))
        return
    table = Table("sampler", "engine", "model", "temperature", box=None)
    for name in ("questions", "samples", "cut off", "shards", "size"):
        table.add_column(name, justify="right")
    table.add_column("last written")
    for s in summaries:
        temperature = "" if s.temperature is None else f"{s.temperature:g}"
        counts = (s.questions, s.samples, s.cut_off, s.shards)
        note = f"{s.written} ({s.damaged} damaged)" if s.damaged else s.written
        table.add_row(
            s.id, s.engine, s.model, temperature, *(f"{n:,}" for n in counts), decimal(s.bytes), note
        )
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
    if not summaries:
        typer.echo(f"{_root()} holds no samples; `qcrd sample GRID` draws some")


@app.command()
def show(
    sampler: SamplerId,
    id: Annotated[
        str | None, typer.Argument(help="Id of a question or a prompt. [default: the first prompts]")
    ] = None,
    n: Annotated[int, typer.Option(min=1, help="Number of prompts to show without an id.")] = 1,
) -> None:
    """Print prompts and raw answers.

    Examples:

      qcrd samples show 3f9a

      qcrd samples show 3f9a svamp-train-17
    """
    from qcrd.samples.inventory import answers, find

    prompts = answers(find(_root(), sampler), id)
    for prompt in prompts if id else prompts[:n]:
        typer.echo(plain(f"=== question {prompt.question_id}, prompt {prompt.prompt_id}\n{prompt.prompt}"))
        for i in sorted(prompt.texts):
            head = f"--- answer {i}: {prompt.finish_reasons[i]}, {prompt.tokens[i]} tokens"
            typer.echo(plain(f"{head}\n{prompt.texts[i]}"))


app.command()(samples_export.export)


@app.command()
def verify(
    sampler: Annotated[str | None, typer.Argument(metavar="[SAMPLER]", help="The default is all.")] = None,
) -> None:
    """Check every stored file against its checksum, and each identity against its folder. Changes nothing.

    Exits with 1 if something is damaged.

    Examples:

      qcrd samples verify

      qcrd samples verify 3f9a
    """
    from qcrd.samples.inventory import faults, find, samplers

    folders = [find(_root(), sampler)] if sampler else samplers(_root())
    damaged = [fault for folder in folders for fault in faults(folder)]
    for path, why in damaged:
        typer.echo(f"{path}: {why}")
    if damaged:
        typer.echo(
            f"{len(damaged)} files are damaged. The next run that needs their samples draws them again; all "
            "other samples stay. `qcrd samples gc --yes` deletes damaged files that a run has set aside."
        )
        raise typer.Exit(1)
    typer.echo(f"{len(folders)} samplers, nothing damaged")


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Apply the changes, not only print them.")] = False,
    sampler: Annotated[
        str | None, typer.Option(metavar="ID", help="Delete this sampler with all its samples instead.")
    ] = None,
) -> None:
    """Delete leftovers of killed jobs and damaged files, and merge small files into large ones.

    Skips samplers that a job is writing to.

    Examples:

      qcrd samples gc                      only prints what would be done

      qcrd samples gc --yes

      qcrd samples gc --sampler 3f9a --yes
    """
    from qcrd.samples import inventory

    if sampler:
        folder = inventory.find(_root(), sampler)
        summary = inventory.summary(folder)
        content = f"{summary.samples:,} samples to {summary.questions:,} questions of {summary.model}"
        if yes:
            inventory.remove(folder, _home())
        typer.echo(f"{'deleted' if yes else 'would delete'} {folder}: {content}")
    else:
        for folder in inventory.samplers(_root()):
            files, before = inventory.rubbish(folder), len(list(folder.glob("*.parquet")))
            if not yes:
                typer.echo(f"{folder.name}: {before} shards; {len(files)} files to delete")
                for file in files:
                    typer.echo(f"  {file}")
            elif holder := inventory.tidy(folder, _home()):
                typer.echo(f"{folder.name}: skipped, in use by {holder}")
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
    """Folder of all samples, after fetching those of other machines from the bucket."""
    return _home().fetch(_home().samples)
