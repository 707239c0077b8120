"""What the judge is asked (Table 8), in a file that a user can replace.

The file is text with the names {task}, {question}, {answer}, {first} and {second} in curly brackets, each
of which is replaced; all but {task} must be there. It has to ask for the line that `verdict.read` looks for:
`Better: 1`, `Better: 2` or `Better: both`. The paper does not say how its judge was to answer, so the form of
the answer is this project's; what makes an explanation the better one is as in Table 8.
"""

from __future__ import annotations

import re
from importlib import resources

from qcrd.config.paths import replaced
from qcrd.errors import ConfigError
from qcrd.tasks.base import Task
from qcrd.types import Prompt, Question

NEEDED = ("question", "answer", "first", "second")
EMPTY = "(no explanation)"  # what stands for a student's silence

_NAME = re.compile(r"\{(\w*)\}")


def template(path: str | None = None) -> str:
    """The text of a user's file, or of the project's own.

    Raises:
        ConfigError: where it cannot be read, lacks a name or has one that is not known.
    """
    if path is None:
        own = resources.files("qcrd.judging").joinpath("prompts", "pair.txt")
        return own.read_text(encoding="utf-8").strip()
    try:
        with open(replaced(path), encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--prompt: {path!r} cannot be read as a text file ({error})") from error
    found = set(_NAME.findall(text))
    if strange := sorted(found - {"task", *NEEDED}):
        allowed = ", ".join(f"{{{name}}}" for name in ("task", *NEEDED))
        raise ConfigError(f"--prompt: {path} has the name {{{strange[0]}}}; allowed: {allowed}")
    if lacking := [name for name in NEEDED if name not in found]:
        raise ConfigError(f"--prompt: {path} lacks {{{lacking[0]}}}; write it where the {lacking[0]} belongs")
    return text.strip()


def prompt(template: str, task: Task, question: Question, first: str, second: str) -> Prompt:
    """The judge's prompt about two explanations in this order; the whole of it is one message."""
    values = {
        "task": task.name,
        "question": task.prompt(question).question,  # as a teacher reads it, with its choices or premise
        "answer": question.label,
        "first": first or EMPTY,
        "second": second or EMPTY,
    }
    return Prompt(_NAME.sub(lambda match: values[match[1]], template), cues=("", ""))
