"""How many questions a task has and how long its texts are, known before its data is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qcrd.config import Cell

# As the tasks deal them (section 4.1), where a configuration does not say otherwise.
_QUESTIONS = {
    "svamp": (720, 80, 200),
    "cqa": (8766, 975, 1221),
    "anli1": (16946, 1000, 1000),
    "esnli": (549367, 9842, 9824),
    "arithmetic": (720, 80, 200),
}

# Mean tokens with the end of sequence: question with `predict: `, label, rationale, label behind a rationale,
# and the teacher's prompt. Measured with T5's tokenizer on 700 to 800 training questions of the archive of
# Distilling Step-by-Step and PaLM's answers in it (the arithmetic task: with its own, on gold rationales),
# so another teacher's rationales, and another tokenizer's prompts, are longer or shorter.
_TOKENS = {
    "svamp": (42.8, 9.4, 39.1, 50.5, 537.2),
    "cqa": (48.1, 2.8, 30.9, 36.8, 609.2),
    "anli1": (102.4, 3.0, 28.3, 34.3, 781.4),
    "esnli": (30.7, 3.0, 14.1, 20.1, 479.2),
    "arithmetic": (29.1, 7.0, 22.8, 32.8, 31.1),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a cell's data: questions, and mean tokens of its texts, cut where the cell cuts them."""

    train: int
    validation: int
    test: int
    question: float
    label: float
    rationale: float
    both: float  # rationale and label in one target
    prompt: float  # in the teacher's tokens, about

    @property
    def answer(self) -> float:
        """Tokens of a teacher's answer."""
        return self.both


def sizes(cell: Cell) -> Sizes | None:
    """What is known of the cell's data; None for own data sets and plugins' tasks."""
    task, student = cell.task, cell.student
    if task.name not in _QUESTIONS:
        return None
    known = zip((task.train, task.validation, task.test), _QUESTIONS[task.name], strict=True)
    train, validation, test = (own if asked is None else asked for asked, own in known)
    found = Sizes(train, validation, test, *_TOKENS[task.name])
    return replace(
        found,
        question=min(found.question, student.max_input),
        label=min(found.label, student.max_label),
        rationale=min(found.rationale, student.max_rationale),
        both=min(found.both, student.max_rationale + student.max_label),
    )
