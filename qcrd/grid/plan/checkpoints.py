"""Checks that the models of a grid have weights that are safe to load, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qcrd.cell.identity import needs_discriminator, selection_of, teacher_samples
from qcrd.config import Cell
from qcrd.errors import QcrdError
from qcrd.hub.model_files import find
from qcrd.hub.smollm2 import MODELS
from qcrd.rationales.select import rule_of
from qcrd.teacher.engines import ENGINES


@dataclass(frozen=True, slots=True)
class UsedModel:
    """A model that cells load."""

    role: str  # student, discriminator, measuring, teacher
    name: str  # folder or Hub id
    revision: str | None

    def __str__(self) -> str:
        at = f" (revision {self.revision})" if self.revision and not Path(self.name).is_dir() else ""
        return f"{self.role} {self.name}{at}"


def used_models(cells: Iterable[Cell], teachers: bool = True) -> list[UsedModel]:
    """The distinct models that cells load.

    Args:
        cells: the cells.
        teachers: whether to include teachers.
    """
    models: dict[tuple[str, str | None], UsedModel] = {}

    def add(role: str, name: str | None, revision: str | None) -> None:
        if name:
            models.setdefault((name, revision), UsedModel(role, name, revision))

    for cell in cells:
        add("student", cell.student.checkpoint, cell.student.revision)
        if needs_discriminator(cell):
            add("discriminator", cell.discriminator.checkpoint, cell.discriminator.revision)
        selection = selection_of(cell)
        if selection is not None and selection.measured_by and rule_of(selection).measures:
            add("measuring", selection.measured_by, selection.revision)
        teacher = cell.teacher
        if teachers and teacher_samples(cell) and ENGINES[teacher.engine].weights and not teacher.embedded:
            add("teacher", teacher.model, teacher.revision)
    return list(models.values())


def needs_hub(cells: Iterable[Cell]) -> bool:
    """Whether planning the cells may query the Hub for a model, a tokenizer or a data set."""
    cells = list(cells)
    names = {model.name for model in used_models(cells)} | {cell.student.tokenizer for cell in cells}
    names |= {cell.task.source or cell.task.name for cell in cells if cell.task.name != "arithmetic"}
    return any(not Path(name).expanduser().exists() for name in names if name and name not in MODELS)


def loading_error(model: UsedModel) -> str:
    """Why a model cannot be loaded; "" if it can. Begins with `not checked` if the Hub does not answer."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if Path(model.name).is_absolute() and not Path(model.name).exists():
        return "there is no such folder"
    try:
        files = find(model.name, model.revision)
    except QcrdError as error:  # a packaged model whose package is missing
        return str(error)
    except (HfHubHTTPError, HFValidationError) as error:  # no such model or revision, no access
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    except Exception as error:  # of many types: offline, no connection, timeout
        return f"not checked ({type(error).__name__}): it is neither a folder nor in the cache"
    if files.stored:
        return ""
    return "no weights in safetensors, and other formats can execute code; name a revision that has them"
