"""Whether the decoder-only students of a grid can be had, checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qcrd.config import Cell, Student, Training
from qcrd.errors import ConfigError, QcrdError
from qcrd.hub.places import T5, model_type


def refuse_unusable(cells: Iterable[Cell]) -> None:
    """Check students' settings without loading weights.

    Raises:
        ConfigError: for the first student that cannot be used.
    """
    for error in student_errors(cells):
        raise ConfigError(error)


def student_errors(cells: Iterable[Cell], fetch: bool = True) -> list[str]:
    """What keeps students from being used; each message once.

    transformers is imported only for grids with decoder-only students. Weights are checked elsewhere.

    Args:
        cells: of a grid.
        fetch: whether files may be fetched from the Hub or converted; without, such students are not checked.
    """
    errors: dict[str, None] = {}
    for section, training in {(cell.student, cell.training): None for cell in cells}:
        if _is_plain_t5(section) or not (fetch or _is_local(section)):
            continue
        try:
            _check(section, training)
        except QcrdError as error:
            errors[str(error)] = None
    return list(errors)


def _is_plain_t5(section: Student) -> bool:
    """Whether it is a T5 without settings of decoder-only students, as known without transformers."""
    if section.adapter is not None or section.prompt != "plain":
        return False
    if section.checkpoint is None:
        return section.architecture.family == "t5"
    return _is_local(section) and model_type(section.checkpoint, section.revision) in T5


def _is_local(section: Student) -> bool:
    return section.checkpoint is None or Path(section.checkpoint).is_dir()


def _check(section: Student, training: Training) -> None:
    from qcrd.student.load import check_settings

    check_settings(section, training)
