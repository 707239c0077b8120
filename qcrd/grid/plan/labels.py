"""Whether the students of a grid can write its labels: looked at once for each task and tokenizer."""

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
class Labels:
    """The labels of one task, written with one tokenizer."""

    task: str
    tokenizer: str
    limit: int  # student.max_label
    bearable: float  # student.unwritable
    found: Writable

    @property
    def refused(self) -> bool:
        """Whether `qcrd run` does not begin with them."""
        return self.found.share > self.bearable

    @property
    def well(self) -> bool:
        """Whether all of them can be written."""
        return not (self.found.lost or self.found.lost_choices or self.found.cut)

    def sentence(self) -> str:
        """What was found, for people."""
        found = self.found
        if self.well:
            return f"all labels of {found.questions:,} questions can be written with {self.tokenizer}"
        parts = []
        if found.lost:
            parts.append(
                f"the labels of {found.lost:,} of {found.questions:,} questions "
                f"({100 * found.share:.1f}%) cannot be written with {self.tokenizer}"
            )
        if found.lost_choices:
            parts.append(
                f"{found.lost_choices:,} of {found.choices:,} choices cannot be written with {self.tokenizer}"
            )
        if found.cut:
            parts.append(
                f"the labels of {found.cut:,} questions are cut at {self.limit} tokens (longest: "
                f"{found.longest})"
            )
        if (lost := found.example) is not None:
            parts.append(f"{lost.label!r} of {lost.question_id} comes back as {lost.written!r}")
        return ", ".join(parts)

    def remedy(self) -> str:
        """What to do about it."""
        found, ways = self.found, []
        if found.cut:
            ways.append(f"set student.max_label to {found.longest} or more")
        if found.lost > found.cut or found.lost_choices:
            ways.append(
                "take a student.checkpoint (or student.tokenizer) whose vocabulary has these characters, "
                "such as google/mt5-small, or write the labels without them"
            )
        return ", and ".join(ways)


def labels(cells: Iterable[Cell], fetch: bool = True) -> Iterator[Labels]:
    """What becomes of the labels of each task, with each tokenizer that the cells have.

    A tokenizer that cannot be loaded is passed over: what needs it says so.

    Args:
        cells: of a grid.
        fetch: whether a tokenizer that is not on this machine may be fetched from the Hub.
    """
    sections = {(cell.task, *_settings(cell.student)): (cell.task, cell.student) for cell in cells}
    for task, student in sections.values():
        if not (fetch or _at_hand(student)):
            continue
        try:
            found = _found(task, *_settings(student)[:-1])
        except ConfigError:
            continue
        name = student.tokenizer or student.checkpoint or "the words of the arithmetic task"
        yield Labels(task.name, f"the tokenizer of {name}", student.max_label, student.unwritable, found)


def check(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Say which labels cannot be written.

    Raises:
        ConfigError: where they are more than `student.unwritable`.
    """
    for each in labels(cells):
        if each.refused:
            raise ConfigError(
                f"task {each.task}: {each.sentence()}; no student could be right about them: "
                f"{each.remedy()}. student.unwritable, now {each.bearable:g}, is the largest share of the "
                "questions with which a run begins"
            )
        if not each.well:
            say(f"labels of {each.task}: {each.sentence()}; {each.remedy()}")


def _at_hand(student: Settings) -> bool:
    """Whether the tokenizer is on this machine: the project's own, in a folder, or in the Hub's cache."""
    name, revision = student.tokenizer or student.checkpoint, student.revision
    if name is None or name in MODELS or Path(name).is_dir():
        return True
    if student.tokenizer is not None:  # the revision is the checkpoint's
        revision = None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "tokenizer_config.json", revision=revision), str)
    except HFValidationError:  # no name that the Hub could have
        return False


def _settings(student: Settings) -> tuple[str | None, str | None, str | None, str, int, float]:
    return (
        student.checkpoint,
        student.revision,
        student.tokenizer,
        student.architecture.family,
        student.max_label,
        student.unwritable,
    )


@lru_cache(maxsize=64)
def _found(
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
