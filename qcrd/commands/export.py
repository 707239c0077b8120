"""`qcrd export`: a finished cell's student as a plain Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.terminal import plain
from qcrd.errors import ConfigError


def export(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="Id of a cell or a prefix of it; with --grid its name.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write.")],
    grid: Annotated[Path | None, typer.Option(help="Grid of the named cell.")] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Whole weights instead of a LoRA adapter.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload it to the Hugging Face Hub too.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is private.")] = False,
    settings: Set = None,
    limit: Limit = None,
) -> None:
    """Write a finished cell's student as a Hugging Face folder, with a model card.

    transformers (and peft, for an adapter) load the folder without qcrd. README.md has the code for it, the
    accuracies, how the student was trained, and what is known of the licences.

    Examples:

      qcrd export 3f9a --out my-student

      qcrd export "qcrd seed=0" --grid grids/students.yaml --out my-student --merged

      qcrd export 3f9a --out my-student --push me/my-student --private
    """
    from qcrd.cell.base import base_of
    from qcrd.cell.finished import FinishedCell
    from qcrd.commands.cells import finished_id
    from qcrd.export import push as hub
    from qcrd.export.student import export as write
    from qcrd.export.student import refuse_full
    from qcrd.storage.home import Home

    home, folder = Home.default(), out.expanduser().absolute()
    if push is not None:
        hub.check_id(push)
    refuse_full(folder, overwrite)
    ended = FinishedCell.find(home, finished_id(home, cell, grid, changes(settings, limit))[0])
    ended.check_student()
    section = ended.cell.settings.student
    if push is not None and section.adapter is not None and not merged:
        base = base_of(section, ended.record.versions)
        if base.kind != "hub":
            raise ConfigError(
                f"--push: the adapter's base ({base}) is not on the Hub, so that nobody could use it; add "
                "--merged"
            )
    write(ended, home, folder, merged, overwrite)
    typer.echo(plain(f"{ended.name}: {folder}"))
    if push is not None:
        typer.echo(hub.push(folder, push, f"Cell {ended.id}: {ended.name}", private))
