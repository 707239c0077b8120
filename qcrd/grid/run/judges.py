"""The judge of `qcrd judge`, its engine, and the pairs of cells to compare."""

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
from qcrd.config.paths import located
from qcrd.errors import ConfigError, DataError
from qcrd.grid.cluster.connection import cluster
from qcrd.grid.cluster.engines import Say
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.plan.expansion import PlannedCell
from qcrd.grid.plan.problems import invalid_options, validation_message
from qcrd.grid.plan.scalars import StrictLoader
from qcrd.grid.plan.study import Study
from qcrd.grid.run.teachers import sampler
from qcrd.judging.ranking import STOP
from qcrd.samples.requests import Request, SampleFn
from qcrd.storage.home import Home
from qcrd.teacher.engine import ActorEngine
from qcrd.teacher.engines import ENGINES, faults

TEMPERATURE = 0.0  # default: the judge gives its most likely verdict (the paper does not state it)


class Judge(Section):
    """A judge's YAML file."""

    teacher: Teacher
    """The LLM that judges: the settings of a teacher, with a default temperature of 0."""
    resources: Resources = Resources()
    """Resources of its engine, and settings for requests to a server."""
    plugins: list[str] = []
    """Plugins, as in a grid; for example one with an engine."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Pairs of cells of a grid to compare."""

    pairs: list[tuple[str, str]]  # ids of the cells
    unfinished: list[str]  # names of unfinished cells, whose pairs are left out


def read_judge(path: Path) -> Judge:
    """Read a judge from a YAML file with `teacher:` and optionally `resources:` and `plugins:`.

    Raises:
        ConfigError: with a line `file: field: ...` per error.
    """
    try:
        data = StrictLoader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as a YAML file ({error})") from error
    teacher = data.get("teacher") if isinstance(data, dict) else None
    if not isinstance(teacher, dict):
        raise ConfigError(f"{path}: teacher: is missing; name the judge, such as `teacher: {{model: ...}}`")
    try:
        judge = Judge.model_validate(
            {**data, "teacher": _expand_paths(path, {"temperature": TEMPERATURE} | teacher)}
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
            f"{path}: teacher.model: 'embedded' only does arithmetic; name a model that follows instructions"
        )
    return judge


def pair_cells(study: Study, a: str, b: str) -> Pairing:
    """Pair the cells named `a` with the cells named `b` that have the same task and seed.

    A name is that of a cell without its seed (`qcrd`, `qcrd beta=0.4`), or of a method.

    Raises:
        ConfigError: if no cell has a name, or several cells of one task and seed have it.
        DataError: if no pair is finished.
    """
    sides = [_cells_named(study, name) for name in (a, b)]
    pairs, unfinished = [], []
    for key in [key for key in sides[0] if key in sides[1]]:
        pair = [side[key] for side in sides]
        without_record = [cell.name for cell_id, cell in pair if study.home.record(cell_id) is None]
        unfinished += without_record
        if not without_record:
            pairs.append((pair[0][0], pair[1][0]))
    if not pairs:
        reason = f"not finished: {', '.join(unfinished)}" if unfinished else "they share no task and seed"
        raise DataError(
            f"{study.grid.name}: no pair of {a!r} and {b!r} can be judged; {reason}; "
            "`qcrd run` the grid first"
        )
    return Pairing(pairs, unfinished)


@contextmanager
def judge_engine(judge: Judge, requests: Sequence[Request], home: Home, say: Say) -> Iterator[SampleFn]:
    """Context with the judge's engine; starts Ray only for an engine that runs in actors."""
    teacher, resources = judge.teacher, judge.resources
    with ExitStack() as stack:
        nodes: Sequence[Node] = [Node(resources.teacher_cpus * resources.teacher_actors, 0)]
        if isinstance(ENGINES[teacher.engine], ActorEngine):
            ray_cluster = stack.enter_context(cluster())
            nodes = ray_cluster.nodes
            say(f"judge: {ray_cluster.cpus:g} CPUs, {ray_cluster.gpus:g} GPUs on {ray_cluster.address}")
        # No cell is trained, so no resources are required for one.
        shares = Shares.of(resources.model_copy(update={"cell_cpus": 0.0, "cell_gpus": 0.0}), nodes)
        yield stack.enter_context(sampler(teacher, STOP, requests, resources, shares, home, say))


def _cells_named(study: Study, name: str) -> dict[tuple[Task, int], tuple[str, PlannedCell]]:
    """The cells with a name, by task and seed."""
    cells = list(zip(study.ids, study.cells, strict=True))
    matching = [(i, c) for i, c in cells if c.is_called(name)]
    matching = matching or [(i, c) for i, c in cells if c.cell.method.name == name]
    if not matching:
        methods = sorted({c.cell.method.name for _, c in cells})
        raise ConfigError(
            f"{study.grid.name}: no cell is named {name!r}; allowed: a method ({', '.join(methods)}), or a "
            "cell's name without its seed (`qcrd plan` lists them)"
        )
    by_key: dict[tuple[Task, int], tuple[str, PlannedCell]] = {}
    for cell_id, cell in matching:
        key = cell.cell.settings.task, cell.cell.settings.seed
        if key in by_key:
            raise ConfigError(
                f"{study.grid.name}: {name!r} is both {by_key[key][1].name!r} and {cell.name!r}, which "
                "have the same task and seed; give the cell's full name without its seed"
            )
        by_key[key] = cell_id, cell
    return by_key


def _expand_paths(path: Path, teacher: dict[str, Any]) -> dict[str, Any]:
    """`teacher` with its paths expanded and absolute."""
    expanded = dict(teacher)
    for name in ("model", "path", "base_url"):
        if isinstance(teacher.get(name), str):
            try:
                expanded[name] = located(f"teacher.{name}", teacher[name], path.absolute().parent)
            except ValueError as error:
                raise ConfigError(f"{path}: teacher.{name}: {error}") from error
    return expanded


def _field(error: ErrorDetails) -> str:
    return ".".join(map(str, error["loc"])) or "file"
