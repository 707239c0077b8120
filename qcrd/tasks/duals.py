"""Prompts for the counterpart of a rationale: derail a correct rationale, or mend a wrong one.

Instructions and examples are in `prompts/derail-KIND.txt` and `prompts/mend-KIND.txt`. Answers are parsed
like all answers to the task.
"""

from __future__ import annotations

from dataclasses import replace

from qcrd.tasks.base import Task
from qcrd.tasks.shots import packaged
from qcrd.types import Prompt, Question


def derail(task: Task, question: Question, rationale: str, label: str) -> Prompt:
    """Prompt for a copy of a correct rationale with a mistake in it; `label` is its correct label."""
    return _prompt("derail", task, question, f"Correct solution: {task.target(rationale, label)}")


def mend(task: Task, question: Question, rationale: str, label: str) -> Prompt:
    """Prompt for a corrected version of a wrong rationale that leads to the correct `label`."""
    return _prompt("mend", task, question, f"Wrong solution: {rationale}\nCorrect answer: {label}")


def _prompt(what: str, task: Task, question: Question, given: str) -> Prompt:
    shots, asked = packaged(f"{what}-{task.kind}.txt"), task.prompt(question)
    # Where a question does not list its choices, the instructions that these stand in for do.
    choices = [f"Possible answers: {', '.join(question.choices)}"] if question.choices else []
    lines = "\n".join([asked.question, *choices, given])
    return replace(asked, question=lines, system=shots.system, examples=shots.examples)
