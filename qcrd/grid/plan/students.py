"""Whether the students and discriminators of a grid can be used, checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from qcrd.cell.identity import needs_discriminator
from qcrd.config import Cell, Discriminator, Student, Training
from qcrd.errors import ConfigError, QcrdError
from qcrd.hub.places import T5, model_type


def refuse_unusable(cells: Iterable[Cell]) -> None:
    """Check the settings of students and discriminators without loading weights.

    Raises:
        ConfigError: for the first that cannot be used.
    """
    for error in student_errors(cells):
        raise ConfigError(error)


def student_errors(cells: Iterable[Cell], fetch: bool = True) -> list[str]:
    """What keeps students and discriminators from being used; each message once.

    transformers is imported only for grids with other models than T5. Weights are checked elsewhere.

    Args:
        cells: of a grid.
        fetch: whether files may be fetched from the Hub or converted; without, such models are not checked.
    """
    errors: dict[str, None] = {}
    cells = list(cells)
    for section, training in {(cell.student, cell.training): None for cell in cells}:
        if not _is_plain_t5(section) and (fetch or _is_local(section)):
            _note(errors, partial(_check_student, section, training))
    weighed = [cell for cell in cells if needs_discriminator(cell)]
    for judge, student in {(cell.discriminator, cell.student): None for cell in weighed}:
        if not _is_t5(judge) and (fetch or (_is_local(judge) and _is_local(student))):
            _note(errors, partial(_check_discriminator, judge, student))
    return list(errors)


def _note(errors: dict[str, None], check: Callable[[], None]) -> None:
    try:
        check()
    except QcrdError as error:
        errors[str(error)] = None


def _is_plain_t5(section: Student) -> bool:
    """Whether it is a T5 without settings of decoder-only students, as known without transformers."""
    if section.adapter is not None or section.prompt != "plain":
        return False
    return _is_t5(section)


def _is_t5(section: Student | Discriminator) -> bool:
    if section.checkpoint is None:
        return section.architecture.family == "t5"
    return _is_local(section) and model_type(section.checkpoint, section.revision) in T5


def _is_local(section: Student | Discriminator) -> bool:
    return section.checkpoint is None or Path(section.checkpoint).is_dir()


def _check_student(section: Student, training: Training) -> None:
    from qcrd.student.load import check_settings

    check_settings(section, training)


def _check_discriminator(section: Discriminator, student: Student) -> None:
    from qcrd.discriminator.load import check_settings
    from qcrd.student.tokenizer import load_tokenizer

    check_settings(section, load_tokenizer(student))
