"""Number of questions and mean text lengths of the built-in tasks, without loading their data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qcrd.config import Cell

# Training, validation and test questions in the default split (section 4.1 of the paper).
_QUESTIONS = {
    "svamp": (720, 80, 200),
    "cqa": (8766, 975, 1221),
    "anli1": (16946, 1000, 1000),
    "esnli": (549367, 9842, 9824),
    "arithmetic": (720, 80, 200),
}

# Mean number of tokens, including the end of sequence: question with `predict: `, label, rationale, rationale
# and label in one target, and the teacher's prompt. Measured with T5's tokenizer on 700 to 800 training
# questions of the Distilling Step-by-Step archive and PaLM's answers in it (the arithmetic task: with its own
# tokenizer, on gold rationales). Rationales of other teachers and prompts in other tokens differ in length.
_TOKENS = {
    "svamp": (42.8, 9.4, 39.1, 50.5, 537.2),
    "cqa": (48.1, 2.8, 30.9, 36.8, 609.2),
    "anli1": (102.4, 3.0, 28.3, 34.3, 781.4),
    "esnli": (30.7, 3.0, 14.1, 20.1, 479.2),
    "arithmetic": (29.1, 7.0, 22.8, 32.8, 31.1),
}


@dataclass(frozen=True, slots=True)
class DataSizes:
    """Number of questions per split, and mean tokens per text after the cell's truncation."""

    train: int
    validation: int
    test: int
    question: float
    label: float
    rationale: float
    both: float  # rationale and label in one target
    prompt: float  # in the teacher's tokens, approximately

    @property
    def answer(self) -> float:
        """Mean tokens of a teacher's answer."""
        return self.both


def data_sizes(cell: Cell) -> DataSizes | None:
    """Sizes of the cell's data; None for own data sets and tasks of plugins."""
    task, student = cell.task, cell.student
    if task.name not in _QUESTIONS:
        return None
    splits = zip((task.train, task.validation, task.test), _QUESTIONS[task.name], strict=True)
    train, validation, test = (default if limit is None else limit for limit, default in splits)
    untruncated = DataSizes(train, validation, test, *_TOKENS[task.name])
    return replace(
        untruncated,
        question=min(untruncated.question, student.max_input),
        label=min(untruncated.label, student.max_label),
        rationale=min(untruncated.rationale, student.max_rationale),
        both=min(untruncated.both, student.max_rationale + student.max_label),
    )
