"""Which labels a student can write at all: a tokenizer loses what its vocabulary has no token for.

With T5's, `x < 5` comes back as `x 5` and `π` as nothing, so that no student could ever be right about them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qcrd.hub.token_ids import token_ids
from qcrd.tasks.base import Task
from qcrd.types import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from qcrd.hub.word_tokenizer import WordTokenizer


@dataclass(frozen=True, slots=True)
class Lost:
    """One label that cannot be written."""

    question_id: str
    label: str
    written: str  # what is left of it


@dataclass(frozen=True, slots=True)
class Writable:
    """What becomes of the labels of a task between a student's tokens and the task's comparison."""

    questions: int
    lost: int  # questions whose label is no longer right once it is encoded, cut and decoded
    cut: int  # questions whose label has more tokens than the limit
    longest: int  # tokens of the longest label, with the end of the sequence
    choices: int  # of all questions together
    lost_choices: int  # that no longer are the answer that they were
    example: Lost | None  # a label that is lost, else such a choice

    @property
    def share(self) -> float:
        """Of the questions, those whose label is lost."""
        return self.lost / max(self.questions, 1)


def writable(
    task: Task, questions: Iterable[Question], tokenizer: PreTrainedTokenizerBase | WordTokenizer, limit: int
) -> Writable:
    """Encode every label and choice, decode it as `Student.text` does, and compare it by the task's rule.

    Args:
        task: whose rule it is.
        questions: with gold labels.
        tokenizer: the student's.
        limit: longest label in tokens, with the end of the sequence (`student.max_label`).
    """
    questions = list(questions)
    texts = list(dict.fromkeys(text for q in questions for text in (q.label, *q.choices)))
    rows = dict(zip(texts, token_ids(tokenizer, texts), strict=True))
    written = {
        text: tokenizer.decode(row[: limit - 1].tolist(), skip_special_tokens=True).strip()
        for text, row in rows.items()
    }
    labels, choices = [], []
    for q in questions:
        if written[q.label] != q.label and not task.correct(written[q.label], q):
            labels.append(Lost(q.id, q.label, written[q.label]))
        for choice in q.choices:
            kept = written[choice] == choice or task.answer(written[choice], q) == task.answer(choice, q)
            if not kept:
                choices.append(Lost(q.id, choice, written[choice]))
    lengths = [len(rows[q.label]) + 1 for q in questions]
    return Writable(
        questions=len(questions),
        lost=len(labels),
        cut=sum(length > limit for length in lengths),
        longest=max(lengths, default=0),
        choices=sum(len(q.choices) for q in questions),
        lost_choices=len(choices),
        example=next(iter([*labels[:1], *choices[:1]]), None),
    )
