"""Checks whether the students of a grid can write its labels, once per task and tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from qcrd.cell.data import task_data
from qcrd.config import Cell
from qcrd.config import Student as Settings
from qcrd.config import Task as TaskConfig
from qcrd.errors import ConfigError
from qcrd.hub.smollm2 import MODELS
from qcrd.student.tokenizer import load_tokenizer, own_word_tokenizer
from qcrd.student.writable import Writable, writable


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """Whether the labels of one task can be written with one tokenizer."""

    task: str
    tokenizer: str
    limit: int  # student.max_label
    tolerance: float  # student.unwritable
    writable: Writable

    @property
    def refused(self) -> bool:
        """Whether `qcrd run` refuses them."""
        return self.writable.share > self.tolerance

    @property
    def all_writable(self) -> bool:
        """Whether all of them can be written."""
        return not (self.writable.lost or self.writable.lost_choices or self.writable.cut)

    def summary(self) -> str:
        """The result as text."""
        writable = self.writable
        if self.all_writable:
            return f"all labels of {writable.questions:,} questions can be written with {self.tokenizer}"
        parts = []
        if writable.lost:
            parts.append(
                f"the labels of {writable.lost:,} of {writable.questions:,} questions "
                f"({100 * writable.share:.1f}%) cannot be written with {self.tokenizer}"
            )
        if writable.lost_choices:
            parts.append(
                f"{writable.lost_choices:,} of {writable.choices:,} choices cannot be written with "
                f"{self.tokenizer}"
            )
        if writable.cut:
            parts.append(
                f"the labels of {writable.cut:,} questions are cut at {self.limit} tokens (longest: "
                f"{writable.longest})"
            )
        if (example := writable.example) is not None:
            parts.append(f"{example.label!r} of {example.question_id} comes back as {example.written!r}")
        return ", ".join(parts)

    def remedy(self) -> str:
        """What the user can do about labels that cannot be written; "" if there are none."""
        writable, remedies = self.writable, []
        if writable.cut:
            remedies.append(f"set student.max_label to {writable.longest} or more")
        if writable.lost > writable.cut or writable.lost_choices:
            remedies.append(
                "take a student.checkpoint (or student.tokenizer) whose vocabulary has these characters, "
                "such as google/mt5-small, or write the labels without them"
            )
        return ", and ".join(remedies)


def label_checks(cells: Iterable[Cell], fetch: bool = True) -> Iterator[LabelCheck]:
    """Check the labels of each task with each tokenizer of the cells.

    Skips tokenizers that cannot be loaded; the student that needs one reports the error.

    Args:
        cells: cells of a grid.
        fetch: whether tokenizers may be downloaded from the Hub.
    """
    sections = {(cell.task, *_tokenizer_settings(cell.student)): (cell.task, cell.student) for cell in cells}
    for task, student in sections.values():
        if not (fetch or _is_local(student)):
            continue
        try:
            writable_labels = _writable(task, *_tokenizer_settings(student)[:-1])
        except ConfigError:
            continue
        name = student.tokenizer or student.checkpoint or "the words of the arithmetic task"
        yield LabelCheck(
            task.name, f"the tokenizer of {name}", student.max_label, student.unwritable, writable_labels
        )


def refuse_unwritable(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Print which labels cannot be written.

    Args:
        cells: cells of a grid.
        say: prints a line to the user.

    Raises:
        ConfigError: if the share of such questions is larger than `student.unwritable`.
    """
    for label_check in label_checks(cells):
        if label_check.refused:
            raise ConfigError(
                f"task {label_check.task}: {label_check.summary()}; no student can answer these questions: "
                f"{label_check.remedy()}. A run is refused if the share of such questions is larger than "
                f"student.unwritable, which is {label_check.tolerance:g}"
            )
        if not label_check.all_writable:
            say(f"labels of {label_check.task}: {label_check.summary()}; {label_check.remedy()}")


def _is_local(student: Settings) -> bool:
    """Whether the tokenizer is on this machine: built in, in a folder, or in the Hub's cache."""
    name, revision = student.tokenizer or student.checkpoint, student.revision
    if name is None or name in MODELS or Path(name).is_dir():
        return True
    if student.tokenizer is not None:  # the revision is the checkpoint's
        revision = None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "tokenizer_config.json", revision=revision), str)
    except HFValidationError:  # not a valid Hub id
        return False


def _tokenizer_settings(student: Settings) -> tuple[str | None, str | None, str | None, str, int, float]:
    return (
        student.checkpoint,
        student.revision,
        student.tokenizer,
        student.architecture.family,
        student.max_label,
        student.unwritable,
    )


@lru_cache(maxsize=64)
def _writable(
    task: TaskConfig,
    checkpoint: str | None,
    revision: str | None,
    tokenizer: str | None,
    family: str,
    limit: int,
) -> Writable:
    data = task_data(task)
    questions = (*data.splits.train, *data.splits.validation, *data.splits.test)
    if checkpoint is None and tokenizer is None:
        return writable(data.task, questions, own_word_tokenizer(family == "t5"), limit)
    section = Settings(checkpoint=checkpoint, revision=revision, tokenizer=tokenizer)
    return writable(data.task, questions, load_tokenizer(section), limit)
