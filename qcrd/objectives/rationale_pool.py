"""What each question offers a training now: the rationales that are selected, and the wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from statistics import fmean

from qcrd import config
from qcrd.objectives.base import Ingredients
from qcrd.objectives.targets import RationaleTargets
from qcrd.rationales.select import Candidate, choose, passing, renewed, rule_of
from qcrd.seeds import derive
from qcrd.student.base import Student
from qcrd.student.difficulty import answer_cue, rationale_difficulty
from qcrd.tasks.base import Task
from qcrd.types import Question

Tokens = list[int]


class RationalePool:
    """The positives and negatives of all training questions, as the completions that are trained on.

    In sequences the positives, right or not, end with the label that is trained on, and each negative with
    the label that it leads to.

    The filters are applied once. What is chosen among the candidates that pass them is chosen once too, or
    anew at the beginning of each iteration where that may change it.

    Attributes:
        positives: for each question the rationales that are learnt from now.
        negatives: the wrong ones.
    """

    def __init__(self, given: Ingredients):
        self.given, settings = given, given.selection
        self.rule, self.n, self.seed = rule_of(settings), settings.n, given.seed
        self.renews = renewed(settings)
        self._filtered, self._candidates = [], []
        for group in given.sets:
            candidates, left = passing(group.drawn(), settings)
            self._filtered.append(left)
            self._candidates.append(candidates)
        self._targets = RationaleTargets.of(given)
        self._tokens = [self._right(i, [c.text for c in group]) for i, group in enumerate(self._candidates)]
        self.positives: list[list[Tokens]] = list(self._tokens)
        # Without the accuracy filter no sample is right or wrong, so there are no negatives.
        self._wrong = given.sets if settings.accuracy else ()
        self.negatives: list[list[Tokens]] = [[] for _ in given.sets]
        for i, group in enumerate(self._wrong):
            self.negatives[i] = self._targets.tokens(group.negatives, group.negative_labels)
        self._figures = {} if self.renews else self._choose(0, range(len(given.sets)))

    def learnable(self) -> list[list[Tokens]]:
        """For each question all that is right, or may be selected: the distinct ones.

        Of sequences these are the whole ones, and their rationales.
        """
        tokens, limit = self.given.student.completions, self.given.lengths.max_rationale
        by_question = []
        for i, (group, candidates) in enumerate(zip(self.given.sets, self._candidates, strict=True)):
            texts = list(dict.fromkeys((*group.positives, *(c.text for c in candidates))))
            by_question.append(
                [*tokens(texts, limit), *(self._right(i, texts) if self._targets.sequence else ())]
            )
        return by_question

    def rationales(self) -> list[dict[tuple[int, ...], str]]:
        """For each question the text of the rationale of each completion that is or may become one of its
        positives or negatives."""
        by_question = []
        for i, candidates in enumerate(self._candidates):
            completions = [*self._tokens[i], *self.negatives[i]]
            texts = [c.text for c in candidates]
            texts += self._wrong[i].negatives if self._wrong else ()
            by_question.append(dict(zip(map(tuple, completions), texts, strict=True)))
        return by_question

    def begin_iteration(self, iteration: int, coming: Sequence[int]) -> dict[str, float]:
        """Select anew for the coming questions where the rule does; returns figures for the journal.

        `selection/kept`, `/wrong`, `/near_duplicate` and `/left` (passed the filters, was not chosen) are
        rationales per question; `selection/rd` and `/rd_kept` are mean difficulties, of all candidates and of
        the chosen.
        """
        if self.renews:
            return self._choose(iteration, coming)
        return self._figures if iteration == 0 else {}

    def _right(self, question: int, rationales: Sequence[str]) -> list[Tokens]:
        return self._targets.tokens(rationales, [self.given.sets[question].label] * len(rationales))

    def _choose(self, iteration: int, coming: Sequence[int]) -> dict[str, float]:
        found = [self._candidates[i] for i in coming]
        if self.rule.measures:
            found = self._measured(coming)
        kept: list[list[Candidate]] = []
        chance = Random(derive(self.seed, "selection", iteration))
        for i, candidates in zip(coming, found, strict=True):
            numbers = choose(self.rule, candidates, self.n, chance, self.given.questions[i].id)
            self.positives[i] = [self._tokens[i][n] for n in numbers]
            kept.append([candidates[n] for n in numbers])
        figures = {
            "kept": fmean(map(len, kept)),
            "wrong": fmean(self._filtered[i].wrong for i in coming),
            "near_duplicate": fmean(self._filtered[i].near_duplicates for i in coming),
            "left": fmean(len(c) - len(k) for c, k in zip(found, kept, strict=True)),
        }
        if self.rule.measures:
            for name, groups in (("rd", found), ("rd_kept", kept)):
                values = [c.measured for group in groups for c in group]
                figures |= {name: fmean(values)} if values else {}
        return {f"selection/{name}": value for name, value in figures.items()}

    def _measured(self, coming: Sequence[int]) -> list[list[Candidate]]:
        """The candidates of the coming questions with their difficulty."""
        labels = self.given.labels
        found = difficulties(
            self._measuring(),
            self.given.task,
            self.given.lengths,
            [self.given.questions[i] for i in coming],
            [labels[i] for i in coming],
            [[c.text for c in self._candidates[i]] for i in coming],
            self._targets.sequence,
        )
        return [
            [replace(c, difficulty=value) for c, value in zip(self._candidates[i], values, strict=True)]
            for i, values in zip(coming, found, strict=True)
        ]

    def _measuring(self) -> Student:
        """The student as it is now, or the other model; which is not needed a second time."""
        return self.given.measurer() if self.given.measurer is not None else self.given.student


def difficulties(
    student: Student,
    task: Task,
    lengths: config.Student,
    questions: Sequence[Question],
    labels: Sequence[str],
    rationales: Sequence[Sequence[str]],
    sequence: bool,
) -> list[list[float]]:
    """For each question the Rationale Difficulty of its rationales, in nats per token of its label.

    A student that writes a `sequence` is asked for one, and its label stands behind the cue in both terms.
    """
    cue = answer_cue(student, task, labels[0])
    difficulties: list[list[float]] = rationale_difficulty(
        student,
        student.prompts("solve" if sequence else "predict", [q.text for q in questions], lengths.max_input),
        student.completions(labels, lengths.max_label),
        [student.completions(group, lengths.max_rationale) for group in rationales],
        cue,
        cue if sequence else (),
    )
    return difficulties
