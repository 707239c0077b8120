"""Settings of a grid: its cells and their resources."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from qcrd.config.section import Count, NonNegative, Positive, Section


class Api(Section):
    """Access to an API server (teacher.engine: openai); does not affect the answers."""

    key: str = "OPENAI_API_KEY"
    """Environment variable with the API key; if unset, no key is sent, which local servers accept."""
    concurrency: Count = 16
    """Maximum number of concurrent calls."""
    requests_per_minute: Count | None = None
    """Maximum number of calls per minute; None relies on the server's 429 responses."""
    timeout: Positive = 120.0
    """Seconds without a response after which a call is retried."""
    retries: Annotated[int, Field(ge=0)] = 8
    """Maximum number of retries after a transient error (429, 5xx, no connection, timeout)."""
    input_price: NonNegative | None = None
    """Dollars per million prompt tokens, for cost estimates and reports."""
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
    """Resource limits; never part of a cell's id."""

    cell_cpus: Positive = 1
    """CPU cores (and threads) of one cell."""
    cell_gpus: NonNegative | Literal["auto"] | None = None
    """GPU share of one cell; auto: measured in the first steps of the largest cell; None: 0.25 if the cluster
    has GPUs, else 0."""
    concurrent_cells: Count | None = None
    """Maximum number of concurrent cells; None: as many as fit."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a crashed cell is restarted from its last checkpoint."""
    keep_students: bool = True
    """Whether each cell keeps its student (of the chosen step) in the Hugging Face format."""
    log_students: Literal["best", "all", "none"] = "best"
    """Which of the kept students to log to MLflow as models after all cells have ended; best: for each task
    the one with the highest validation accuracy (T5-base: 900 MB)."""
    teacher_actors: Count = 1
    """Number of engines (vllm, transformers) in parallel."""
    teacher_cpus: Positive = 2
    """CPU cores of one engine."""
    teacher_gpus: NonNegative | None = None
    """GPUs of one engine (also vLLM's tensor parallel size); None: 1 where the cluster has GPUs, else 0."""
    teacher_memory: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Share of the GPU's memory that vLLM may use."""
    teacher_restarts: Annotated[int, Field(ge=0)] = 3
    """Total number of restarts of crashed or hung engines before the grid gives up sampling."""
    teacher_timeout: Positive = 1800.0
    """Seconds without a heartbeat after which an engine counts as dead. Engines send a heartbeat every second
    or after each batch; the time must suffice to load the model, including its download."""
    api: Api = Api()
    """For teacher.engine: openai."""

    @property
    def cell_threads(self) -> int:
        """Threads of one cell's computations."""
        return max(1, int(self.cell_cpus))


Seeds = Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=0)]]


Settings = dict[str, Any]
"""Values by dotted path (or the paper's symbol)."""


class Overlay(Section):
    """Changes to a grid in one preset."""

    base: dict[str, Any] = {}
    """Merged into the grid's `base`, section by section."""
    sweep: dict[str, list[Any]] = {}
    """Additional factors, or other values of existing ones."""
    product: dict[str, list[Any]] = {}
    """The same for `product`."""
    variants: dict[str, Settings] = {}
    """Additional variants, or other settings of existing ones."""
    seeds: Seeds | None = None
    """Replaces the grid's seeds."""
    baseline: Settings | None = None
    """Replaces the grid's baseline."""


class Grid(Section):
    """A grid of cells, read from one YAML file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """Name of the MLflow experiment and the table; lower-case letters, digits, - and _."""
    description: str = ""
    """One-line description."""
    preset: Literal["auto", "embedded", "paper"] = "auto"
    """Defaults for all cells: embedded (CPU, offline, minutes), paper (T5 and real data sets on GPUs); auto
    uses paper if the cluster has GPUs, else embedded."""
    base: dict[str, Any] = {}
    """Settings of all cells, as nested sections."""
    sweep: dict[str, list[Any]] = {}
    """Values by factor (dotted path), varied one factor at a time around the base."""
    product: dict[str, list[Any]] = {}
    """Values by factor, of which all combinations are run; a sweep varies each combination."""
    variants: dict[str, Settings] = {}
    """Named groups of settings, such as the lines of Table 4; combined with all combinations of `product`,
    whose settings take precedence."""
    seeds: Seeds = 1
    """Number of seeds, or a list of seeds."""
    presets: dict[Literal["embedded", "paper"], Overlay] = {}
    """Changes to the grid by preset."""
    baseline: Settings = {}
    """Values of product factors (or `variant`) that identify the baseline lines of the table, with which the
    other lines of their section are compared. A sweep is always compared with its base."""
    paper: list[Literal["table1", "table2", "table3", "table4", "table5", "table6", "table7"]] = []
    """Tables of the paper whose figures to show beside the measured ones."""
    plugins: list[str] = []
    """Plugins to load and execute: files, relative to the grid's, or installed modules, that register
    schemes, selection rules, methods, tasks or teacher engines (docs/extending.md)."""
    columns: list[Literal["cost"]] = []
    """Additional columns of the table; cost: teacher tokens, the student's FLOP, wall time."""
    resources: Resources = Resources()

    def within(self, preset: Literal["embedded", "paper"]) -> Grid:
        """The grid in one preset, with the preset's overlay applied and `presets` empty."""
        overlay = self.presets.get(preset)
        if overlay is None:
            return self.model_copy(update={"presets": {}})
        parts = {
            name: {**getattr(self, name), **getattr(overlay, name)}
            for name in ("sweep", "product", "variants")
        }
        for name in ("seeds", "baseline"):
            if getattr(overlay, name) is not None:
                parts[name] = getattr(overlay, name)
        return self.model_copy(update={**parts, "base": merged(self.base, overlay.base), "presets": {}})


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge nested settings; `above` takes precedence. Neither argument is modified."""
    result = dict(below)
    for key, value in above.items():
        sections = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if sections else value
    return result
