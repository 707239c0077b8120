"""`qcrd settings`: the reference of all settings."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from qcrd.errors import ConfigError


class Format(StrEnum):
    """Output formats of the reference."""

    text = "text"
    md = "md"
    json = "json"


def _names(incomplete: str) -> list[str]:
    """Names that begin so, for the shell's completion."""
    from qcrd.grid.plan.settings import names

    return [name for name in names() if name.startswith(incomplete)]


def settings(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Short name, dotted path or section. [default: one line for each setting]",
            autocompletion=_names,
        ),
    ] = None,
    format: Annotated[
        Format, typer.Option(help="md is docs/settings.md; md and json are of all settings.")
    ] = Format.text,
) -> None:
    """Explain the settings of a grid: allowed values, default, the presets' defaults, source in the paper.

    Examples:

      qcrd settings beta

      qcrd settings contrastive

      qcrd settings | grep max_

      qcrd settings --format json | jq -r '.[] | select(.presets.paper) | .path'
    """
    from qcrd.grid.plan.settings import as_objects, find, markdown, overview, text

    if name is not None and format != Format.text:
        raise ConfigError(f"--format {format.value} is of all settings; leave {name!r} out, or the format")
    if format == Format.md:
        typer.echo(markdown(), nl=False)
    elif format == Format.json:
        typer.echo(json.dumps(as_objects(), indent=1))
    else:
        typer.echo(overview() if name is None else text(find(name)))
