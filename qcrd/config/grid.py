"""Settings of a grid: which cells, and what their work may take."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from qcrd.config.section import Count, NonNegative, Positive, Section


class Api(Section):
    """How a server is asked (teacher.engine: openai); none of it changes an answer."""

    key: str = "OPENAI_API_KEY"
    """Environment variable with the key; where it is unset none is sent, which local servers accept."""
    concurrency: Count = 16
    """Calls under way at once."""
    requests_per_minute: Count | None = None
    """Most calls begun in a minute; None leaves it to the server's own 429s."""
    timeout: Positive = 120.0
    """Seconds after which a call without an answer is made again."""
    retries: Annotated[int, Field(ge=0)] = 8
    """How often a call that failed for a passing reason (429, 5xx, no connection, timeout) is made again."""
    input_price: NonNegative | None = None
    """Dollars per million prompt tokens, to say the cost before and after."""
    output_price: NonNegative | None = None
    """Dollars per million answer tokens."""

    @field_validator("key")
    @classmethod
    def _no_key_itself(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError(  # the value is not repeated: it may be the key
                "allowed: the name of an environment variable that holds the key, such as OPENAI_API_KEY; "
                "never the key itself, since grids are copied into records and reports"
            )
        return value


class Resources(Section):
    """What the work may take; never part of a cell's identity."""

    cell_cpus: Positive = 1
    """CPU cores (and threads) of one cell."""
    cell_gpus: NonNegative | Literal["auto"] | None = None
    """GPU share of one cell; auto: measured in the first steps of the largest; None: 0.25 where the cluster
    has GPUs, else 0."""
    concurrent_cells: Count | None = None
    """Most cells at once; None: as many as fit."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a cell that crashed is started again from its last checkpoint."""
    keep_students: bool = True
    """Whether each cell keeps its student (of the chosen step) in the Hugging Face format."""
    log_students: Literal["best", "all", "none"] = "best"
    """Which of those MLflow gets as models, to be registered and served, once all cells have ended; best: of
    each task the one with the highest validation accuracy (T5-base: 900 MB)."""
    teacher_actors: Count = 1
    """Engines (vllm, transformers) side by side."""
    teacher_cpus: Positive = 2
    """CPU cores of one engine."""
    teacher_gpus: NonNegative | None = None
    """GPUs of one engine (also vLLM's tensor parallel size); None: 1 where the cluster has GPUs, else 0."""
    teacher_memory: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Share of the GPU's memory that vLLM may take."""
    teacher_restarts: Annotated[int, Field(ge=0)] = 3
    """How many engines that died or hung are replaced, all in all, before the grid gives up sampling."""
    teacher_timeout: Positive = 1800.0
    """Seconds without a sign of life after which an engine counts as dead. A living one gives a sign every
    second or after each batch, however slow it is; loading its model, a download included, must fit in."""
    api: Api = Api()
    """For teacher.engine: openai."""


Seeds = Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=0)]]


Settings = dict[str, Any]
"""Dotted paths (or the paper's symbols) with values."""


class Overlay(Section):
    """What a grid has otherwise in one preset; it goes over what the file says for both."""

    base: dict[str, Any] = {}
    """Over the grid's `base`, section by section."""
    sweep: dict[str, list[Any]] = {}
    """More factors, or other values of a factor."""
    product: dict[str, list[Any]] = {}
    """The same for `product`."""
    variants: dict[str, Settings] = {}
    """More variants, or other settings of one."""
    seeds: Seeds | None = None
    """Instead of the grid's."""
    baseline: Settings | None = None
    """Instead of the grid's."""


class Grid(Section):
    """The cells of one YAML file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """Names the MLflow experiment and the table; lower-case letters, digits, - and _."""
    description: str = ""
    """One line for people."""
    preset: Literal["auto", "embedded", "paper"] = "auto"
    """Defaults beneath `base`: embedded (CPU, offline, minutes), paper (T5 and real sets on GPUs);
    auto takes paper where the cluster has GPUs."""
    base: dict[str, Any] = {}
    """Settings of every cell, as nested sections."""
    sweep: dict[str, list[Any]] = {}
    """Factor (dotted path) to its values: one factor at a time around the base."""
    product: dict[str, list[Any]] = {}
    """Factor to its values: every combination; a sweep then goes around each of them."""
    variants: dict[str, Settings] = {}
    """Name to settings that go together, such as the lines of Table 4; combined with every combination of
    `product`, whose settings go over a variant's."""
    seeds: Seeds = 1
    """How many seeds, or which."""
    presets: dict[Literal["embedded", "paper"], Overlay] = {}
    """What is otherwise in one preset."""
    baseline: Settings = {}
    """Values of product factors (or `variant`): the lines that have them are what the others in their
    section are compared with. A sweep compares with its base by itself."""
    paper: list[Literal["table1", "table2", "table3", "table4", "table5", "table6", "table7"]] = []
    """The paper's tables whose figures stand beside the measured ones."""
    plugins: list[str] = []
    """Files, relative to the grid's, or installed modules, whose code registers what the cells name: schemes,
    selection rules, methods, tasks, teacher engines. They are run (docs/extending.md)."""
    columns: list[Literal["cost"]] = []
    """More columns of the table; cost: teacher tokens, the student's FLOP, wall time."""
    resources: Resources = Resources()

    def within(self, preset: Literal["embedded", "paper"]) -> Grid:
        """The grid as it is in a preset: with its overlay, and without any."""
        over = self.presets.get(preset)
        if over is None:
            return self.model_copy(update={"presets": {}})
        parts = {
            name: {**getattr(self, name), **getattr(over, name)} for name in ("sweep", "product", "variants")
        }
        for name in ("seeds", "baseline"):
            if getattr(over, name) is not None:
                parts[name] = getattr(over, name)
        return self.model_copy(update={**parts, "base": merged(self.base, over.base), "presets": {}})


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, section by section; neither is changed."""
    both = dict(below)
    for key, value in above.items():
        sections = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if sections else value
    return both
