"""The command line. Commands import their modules when they run, so that --help is fast."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from qcrd import __version__
from qcrd.commands import (
    ask,
    bench,
    cost,
    doctor,
    export,
    grids,
    init,
    judge,
    logs,
    open,
    remove,
    samples,
    settings,
    train,
    why,
)
from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.splits import SplitName
from qcrd.commands.tracking import Tracking
from qcrd.environment import prepare
from qcrd.errors import ConfigError, QcrdError
from qcrd.quick_imports import quick_imports

# Groups of commands in --help.
GRIDS, RESULTS, UPKEEP = "Grids and cells", "Results", "Services and machine"

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="""Distil chain-of-thought rationales into small students, and compare distillation methods.

    A grid is one YAML file; see grids/. Results are kept in QCRD_HOME (default ~/.qcrd).
    """,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qcrd {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Options without a command."""


class Format(StrEnum):
    """Output formats of a table."""

    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


class PresetName(StrEnum):
    """Values of --preset."""

    auto = "auto"
    embedded = "embedded"
    paper = "paper"


CELLS = "the cells of a method (dss), a name, a pattern ('*beta*'), an id or a state (failed); repeatable"
Grid = Annotated[
    Path, typer.Argument(help="The grid's YAML file, or the name of one that `qcrd grids` lists.")
]
Preset = Annotated[PresetName | None, typer.Option(help="Overrides the file's preset.")]


@app.command(rich_help_panel=GRIDS)
def run(
    grid: Grid,
    settings: Set = None,
    limit: Limit = None,
    only: Annotated[list[str] | None, typer.Option(metavar="CELLS", help=f"Only run {CELLS}.")] = None,
    again: Annotated[
        list[str] | None,
        typer.Option(metavar="CELLS", help=f"First delete the results of {CELLS}, then run them."),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Only print the plan, as `qcrd plan` does.")] = False,
    preset: Preset = None,
    tracking: Tracking = None,
) -> None:
    """Run a grid, or resume an interrupted one.

    Joins the Ray cluster of RAY_ADDRESS (set in a Ray job), or else starts Ray on this machine.

    Examples:

      cluster/local.sh run grids/quickstart.yaml     with Ray and MLflow on this machine

      ray job submit grids/ablation.yaml             as a Ray job

      qcrd run grids/ablation.yaml --preset embedded

      qcrd run grids/table1.yaml --set beta=0.3 --set seeds=5

      qcrd run grids/table1.yaml --limit 20              a trial of some minutes

      qcrd run grids/table1.yaml --only qcrd --only "dss seed=0"

      qcrd run grids/table1.yaml --again diverged
    """
    if dry_run:
        if only or again:
            raise ConfigError("--dry-run plans the whole grid; leave out --only and --again")
        return plan(grid, settings, limit, preset)
    from qcrd.grid.cluster.address import refuse_dead
    from qcrd.grid.plan.file import read_grid
    from qcrd.storage.home import Home

    file = read_grid(grid, changes(settings, limit))  # errors come before the imports that take seconds
    refuse_dead(os.environ.get("RAY_ADDRESS"))
    patterns = [*(only or ()), *(again or ())]
    if patterns and (preset or file.grid.preset) != "auto":  # which depends on the cluster's GPUs
        from qcrd.grid.plan.study import Study

        Study.of(file, Home.default(), preset).matching(patterns)
    with quick_imports():
        from qcrd.grid.run.driver import run as work

    complete = work(file, Home.default(), preset, tracking, only or (), again or ())
    raise typer.Exit(0 if complete else 1)


@app.command(rich_help_panel=GRIDS)
def sample(
    grid: Grid,
    settings: Set = None,
    limit: Limit = None,
    preset: Preset = None,
    split: Annotated[
        list[SplitName] | None,
        typer.Option(help="Additional split to sample; repeatable."),
    ] = None,
) -> None:
    """Draw the teacher samples that a grid needs, without training; stored samples are reused.

    Examples:

      qcrd sample grids/ablation.yaml

      qcrd sample grids/quickstart.yaml --split test     to see the teacher's accuracy on the test questions
    """
    from qcrd.grid.cluster.address import refuse_dead
    from qcrd.grid.plan.file import read_grid
    from qcrd.storage.home import Home

    file = read_grid(grid, changes(settings, limit))
    refuse_dead(os.environ.get("RAY_ADDRESS"))
    with quick_imports():
        from qcrd.grid.run.driver import sample as draw

    draw(file, Home.default(), preset, tuple(split or ()))


@app.command(rich_help_panel=GRIDS)
def plan(
    grid: Grid,
    settings: Set = None,
    limit: Limit = None,
    preset: Preset = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """List a grid's cells: which are done, what will be sampled and trained, and the estimated time.

    Examples:

      qcrd plan grids/ablation.yaml

      qcrd plan grids/ablation.yaml --set seeds=5

      qcrd plan grids/ablation.yaml --json | jq '.cells | length'
    """
    from qcrd.doctor.hub import unasked_if_out_of_reach
    from qcrd.grid.plan.checkpoints import needs_hub
    from qcrd.grid.plan.overview import plan_object, plan_text
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home

    study = Study.open(grid, Home.default(), preset, changes=changes(settings, limit))
    asks_hub = needs_hub(planned.cell.settings for planned in study.cells)
    with unasked_if_out_of_reach() if asks_hub else nullcontext():
        plan = plan_object(study)
    typer.echo(json.dumps(plan, indent=1) if as_json else plan_text(plan))


@app.command(rich_help_panel=GRIDS)
def status(grid: Grid, settings: Set = None, limit: Limit = None, preset: Preset = None) -> None:
    """Show a grid's progress: cells by state, with step and accuracy of the running ones.

    Example: qcrd status grids/ablation.yaml
    """
    from qcrd.grid.plan.overview import status_text
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home

    study = Study.open(grid, Home.default(), preset, changes=changes(settings, limit))
    typer.echo(status_text(study))


@app.command(rich_help_panel=RESULTS)
def table(
    grid: Grid,
    settings: Set = None,
    limit: Limit = None,
    format: Annotated[Format, typer.Option(help="Output format.")] = Format.md,
    preset: Preset = None,
) -> None:
    """Print a grid's table from its finished cells.

    Examples:

      qcrd table grids/quickstart.yaml

      qcrd table grids/ablation.yaml --format latex > ablation.tex

      qcrd table grids/table5.yaml --format html > table5.html     with its figures and provenance
    """
    from qcrd.grid.plan.study import Study
    from qcrd.grid.results.rows import tables
    from qcrd.storage.home import Home

    study = Study.open(grid, Home.default(), preset, changes=changes(settings, limit))
    grid_tables = tables(study)
    if format == Format.html:
        from qcrd.grid.results.report import html  # imports matplotlib

        typer.echo(html(study, grid_tables), nl=False)
    else:
        from qcrd.report.formats import render

        typer.echo(render(grid_tables, format), nl=False)


class Picture(StrEnum):
    """File formats of a figure."""

    svg = "svg"
    png = "png"


@app.command(rich_help_panel=RESULTS)
def figure(
    grid: Grid,
    settings: Set = None,
    limit: Limit = None,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("figures"),
    format: Annotated[
        list[Picture] | None, typer.Option(help="svg or png; repeatable. [default: both]")
    ] = None,
    preset: Preset = None,
) -> None:
    """Draw a figure for each section of a grid, with the paper's results, and print the files' paths.

    Examples:

      qcrd figure grids/table7.yaml

      qcrd figure grids/figure5.yaml --out paper/ --format svg
    """
    from qcrd.grid.plan.study import Study
    from qcrd.grid.results.report import figures
    from qcrd.grid.results.rows import tables
    from qcrd.report.drawing import FORMATS
    from qcrd.storage.home import Home

    study = Study.open(grid, Home.default(), preset, changes=changes(settings, limit))
    grid_tables = tables(study)
    forms = [form for picture in format or Picture for form in FORMATS if form == picture.value]
    files = figures(grid_tables, out, forms)
    if not files:
        raise QcrdError(f"{grid}: no cell is finished yet, so there is nothing to draw; `qcrd run` it first")
    for path in files:
        typer.echo(path)


@app.command(rich_help_panel=UPKEEP)
def sync(
    grid: Grid,
    settings: Set = None,
    limit: Limit = None,
    to: Annotated[
        Literal["mlflow", "tensorboard", "wandb"],
        typer.Option(help="wandb writes offline runs, which `wandb sync` uploads."),
    ] = "mlflow",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the files. [default: QCRD_HOME/tensorboard or QCRD_HOME/wandb]"),
    ] = None,
    preset: Preset = None,
    tracking: Tracking = None,
) -> None:
    """Send the local journals to MLflow, or write them as files of TensorBoard or Weights & Biases.

    MLflow gets what it does not have yet. The files have curves, settings and accuracies; models, reports and
    data sets are in MLflow only.

    Examples:

      qcrd sync grids/quickstart.yaml --tracking http://127.0.0.1:5000

      qcrd sync grids/quickstart.yaml --to tensorboard --out runs
    """
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home

    home = Home.default()
    study = Study.open(grid, home, preset, changes=changes(settings, limit))
    if to != "mlflow":
        from qcrd.grid.run.copies import copy_journals

        typer.echo(copy_journals(study, to, out or home.root / to))
        return
    if not tracking:
        raise QcrdError("no MLflow server is named; give --tracking URI or set MLFLOW_TRACKING_URI")
    from qcrd.grid.run.mlflow_runs import mirror

    with study.exclusive(typer.echo):  # the driver of a running grid sends to MLflow itself
        grid_mirror = mirror(study, tracking, live="running" in study.states())
        report = grid_mirror.push()
    if report.error:
        raise QcrdError(f"{report.summary()}, {report.pending} left: {report.error}")
    page = grid_mirror.page()
    typer.echo(f"{report.summary()}, everything is on {page.comparison if page else tracking}")


for _name, _command, _panel in (
    ("train", train.train, GRIDS),
    ("logs", logs.logs, GRIDS),
    ("rm", remove.remove, GRIDS),
    ("init", init.init, GRIDS),
    ("grids", grids.grids, GRIDS),
    ("settings", settings.settings, GRIDS),
    ("cost", cost.cost, GRIDS),
    ("why", why.why, RESULTS),
    ("open", open.open_page, RESULTS),
    ("judge", judge.judge, RESULTS),
    ("ask", ask.ask, RESULTS),
    ("export", export.export, RESULTS),
    ("doctor", doctor.doctor, UPKEEP),
):
    app.command(_name, rich_help_panel=_panel)(_command)
app.add_typer(samples.app, name="samples", rich_help_panel=RESULTS)
app.add_typer(bench.app, name="bench", rich_help_panel=UPKEEP)


def main() -> None:
    """Run the command line; user errors are printed in one line, without a traceback."""
    prepare()
    try:
        code = app(
            standalone_mode=False, prog_name="qcrd"
        )  # exit code of typer.Exit; 130 after Ctrl-C or SIGTERM
    except QcrdError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        code = STOPPED
    except Exception as error:  # click's usage errors have a method `show`
        if not hasattr(error, "show"):
            raise
        error.show()
        sys.exit(getattr(error, "exit_code", 2))
    if code == STOPPED:
        print("stopped; run the same command to continue", file=sys.stderr)
    sys.exit(code)


STOPPED = 130
