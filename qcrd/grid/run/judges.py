"""Whom `qcrd judge` asks, and which cells of a grid it pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qcrd import plugins
from qcrd.config import Resources, Section, Task, Teacher
from qcrd.config.paths import replaced
from qcrd.errors import ConfigError, DataError
from qcrd.grid.cluster.engines import Say
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.plan.expansion import PlannedCell
from qcrd.grid.plan.problems import invalid_options, validation_message
from qcrd.grid.plan.scalars import StrictLoader
from qcrd.grid.plan.study import Study
from qcrd.grid.run.driver import cluster
from qcrd.grid.run.teachers import sampler
from qcrd.judging.ranking import STOP
from qcrd.samples.requests import Request, SampleFn
from qcrd.storage.home import Home
from qcrd.teacher.engine import ActorEngine
from qcrd.teacher.engines import ENGINES, faults

TEMPERATURE = 0.0  # of a judge whose file names none: it is to say what it thinks likeliest (paper: not said)


class Judge(Section):
    """A judge's YAML file."""

    teacher: Teacher
    """Who judges: the same settings as a teacher's, but a temperature of 0 where it names none."""
    resources: Resources = Resources()
    """What its engine may take, and how a server is asked."""
    plugins: list[str] = []
    """As in a grid, for an engine of one's own."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Cells of a grid to be compared."""

    pairs: list[tuple[str, str]]  # ids
    unfinished: list[str]  # names of cells for which a pair was left out


def read_judge(path: Path) -> Judge:
    """The judge in a YAML file with `teacher:` and perhaps `resources:`.

    Raises:
        ConfigError: with a line `file: field: ...` for everything that is wrong.
    """
    try:
        data = StrictLoader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as a YAML file ({error})") from error
    teacher = data.get("teacher") if isinstance(data, dict) else None
    if not isinstance(teacher, dict):
        raise ConfigError(f"{path}: teacher: is missing; say who judges, such as `teacher: {{model: ...}}`")
    try:
        judge = Judge.model_validate(
            {**data, "teacher": _placed(path, {"temperature": TEMPERATURE} | teacher)}
        )
    except ValidationError as error:
        lines = [f"{path}: {_field(e)}: {validation_message(e, Judge)}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    plugins.load(judge.plugins, path.parent)
    problems = [("teacher", fault) for fault in faults(judge.teacher)]
    engine = ENGINES[judge.teacher.engine]
    problems += invalid_options(
        "teacher.options", judge.teacher.options, f"engine {engine.name}", engine.options
    )
    if problems:
        raise ConfigError("\n".join(f"{path}: {field}: {message}" for field, message in problems))
    if judge.teacher.embedded:
        raise ConfigError(
            f"{path}: teacher.model: 'embedded' can do sums and nothing else; name a model that follows "
            "instructions"
        )
    return judge


def pair_cells(study: Study, a: str, b: str) -> Pairing:
    """Cells of a grid named `a` with those named `b` that have the same task and seed.

    A name is a cell's own without its seed (`qcrd`, `qcrd beta=0.4`), or else a method.

    Raises:
        ConfigError: where a name is none of the grid's, or means several cells of one task and seed.
        DataError: where no pair is finished.
    """
    sides = [_named(study, name) for name in (a, b)]
    pairs, unfinished = [], []
    for place in [place for place in sides[0] if place in sides[1]]:
        both = [side[place] for side in sides]
        lacking = [cell.name for cell_id, cell in both if study.home.record(cell_id) is None]
        unfinished += lacking
        if not lacking:
            pairs.append((both[0][0], both[1][0]))
    if not pairs:
        why = f"not finished: {', '.join(unfinished)}" if unfinished else "they share no task and seed"
        raise DataError(
            f"{study.grid.name}: no pair of {a!r} and {b!r} can be judged; {why}; `qcrd run` the grid first"
        )
    return Pairing(pairs, unfinished)


@contextmanager
def asking(judge: Judge, requests: Sequence[Request], home: Home, say: Say) -> Iterator[SampleFn]:
    """The judge's engine, which ends with the context; Ray starts only for one that runs here."""
    teacher, resources = judge.teacher, judge.resources
    with ExitStack() as stack:
        nodes: Sequence[Node] = [Node(resources.teacher_cpus * resources.teacher_actors, 0)]
        if isinstance(ENGINES[teacher.engine], ActorEngine):
            have = stack.enter_context(cluster())
            nodes = have.nodes
            say(f"judge: {have.cpus:g} CPUs, {have.gpus:g} GPUs on {have.address}")
        # No cell is trained here, so what one would take is not asked for.
        shares = Shares.of(resources.model_copy(update={"cell_cpus": 0.0, "cell_gpus": 0.0}), nodes)
        yield stack.enter_context(sampler(teacher, STOP, requests, resources, shares, home, say))


def _named(study: Study, name: str) -> dict[tuple[Task, int], tuple[str, PlannedCell]]:
    """The cells that a name stands for, by task and seed."""
    cells = list(zip(study.ids, study.cells, strict=True))
    found = [(i, c) for i, c in cells if c.is_called(name)]
    found = found or [(i, c) for i, c in cells if c.cell.method.name == name]
    if not found:
        methods = sorted({c.cell.method.name for _, c in cells})
        raise ConfigError(
            f"{study.grid.name}: no cell is named {name!r}; allowed: a method ({', '.join(methods)}), or a "
            "cell's name without its seed (`qcrd plan` lists them)"
        )
    by_place: dict[tuple[Task, int], tuple[str, PlannedCell]] = {}
    for cell_id, cell in found:
        place = cell.cell.settings.task, cell.cell.settings.seed
        if place in by_place:
            raise ConfigError(
                f"{study.grid.name}: {name!r} is {by_place[place][1].name!r} and {cell.name!r}, both of one "
                "task and seed; give the cell's whole name without its seed"
            )
        by_place[place] = cell_id, cell
    return by_place


def _placed(path: Path, teacher: dict[str, Any]) -> dict[str, Any]:
    """`teacher` with environment variables and ~ in its places replaced."""
    placed = dict(teacher)
    for name in ("model", "path", "base_url"):
        if isinstance(teacher.get(name), str):
            try:
                placed[name] = replaced(teacher[name])
            except ValueError as error:
                raise ConfigError(f"{path}: teacher.{name}: {error}") from error
    return placed


def _field(error: ErrorDetails) -> str:
    return ".".join(map(str, error["loc"])) or "file"
