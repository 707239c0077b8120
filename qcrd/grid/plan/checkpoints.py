"""Whether the models that a grid names have weights that are safe to load, seen before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qcrd.cell.identity import needs_discriminator, selection_of, teacher_samples
from qcrd.config import Cell
from qcrd.hub.model_files import find
from qcrd.hub.smollm2 import MODELS
from qcrd.rationales.select import rule_of
from qcrd.teacher.engines import ENGINES


@dataclass(frozen=True, slots=True)
class Named:
    """A model that some cells load."""

    what: str  # student, discriminator, measuring, teacher
    place: str  # folder or Hub id
    revision: str | None

    def __str__(self) -> str:
        at = f" (revision {self.revision})" if self.revision and not Path(self.place).is_dir() else ""
        return f"{self.what} {self.place}{at}"


def named(cells: Iterable[Cell], teachers: bool = True) -> list[Named]:
    """The models that cells begin from or, with `teachers`, sample; each place and revision once."""
    found: dict[tuple[str, str | None], Named] = {}

    def add(what: str, place: str | None, revision: str | None) -> None:
        if place:
            found.setdefault((place, revision), Named(what, place, revision))

    for cell in cells:
        add("student", cell.student.checkpoint, cell.student.revision)
        if needs_discriminator(cell):
            add("discriminator", cell.discriminator.checkpoint, cell.discriminator.revision)
        chosen = selection_of(cell)
        if chosen is not None and chosen.measured_by and rule_of(chosen).measures:
            add("measuring", chosen.measured_by, chosen.revision)
        teacher = cell.teacher
        if teachers and teacher_samples(cell) and ENGINES[teacher.engine].weights and not teacher.embedded:
            add("teacher", teacher.model, teacher.revision)
    return list(found.values())


def needs_hub(cells: Iterable[Cell]) -> bool:
    """Whether planning the cells may ask the Hub: for a model, a tokenizer or a data set."""
    cells = list(cells)
    names = {model.place for model in named(cells)} | {cell.student.tokenizer for cell in cells}
    names |= {cell.task.source or cell.task.name for cell in cells if cell.task.name != "arithmetic"}
    return any(not Path(name).expanduser().exists() for name in names if name and name not in MODELS)


def trouble(model: Named) -> str:
    """What keeps a model from being loaded, "" where nothing does; `not checked` where nobody answers."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        files = find(model.place, model.revision)
    except (HfHubHTTPError, HFValidationError) as error:  # no such model or revision, no access
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    except Exception as error:  # of many kinds: offline, no connection, no answer in time
        return f"not checked ({type(error).__name__}): it is neither a folder nor in the cache"
    if files.stored:
        return ""
    return "no weights in safetensors, and others can execute code: name a revision that has them"
