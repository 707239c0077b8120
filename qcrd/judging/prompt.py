"""The judge's prompt (Table 8), from a template file that users can replace.

The template contains the placeholders {task}, {question}, {answer}, {first} and {second}; all but {task} are
required. It must ask for a line that `verdict.read` can parse: `Better: 1`, `Better: 2` or `Better: both`.
The paper does not specify the format of the judge's answer, so it is defined here; the criteria for the
better explanation are those of Table 8.
"""

from __future__ import annotations

import re
from importlib import resources

from qcrd.config.paths import replaced
from qcrd.errors import ConfigError
from qcrd.tasks.base import Task
from qcrd.types import Prompt, Question

NEEDED = ("question", "answer", "first", "second")
EMPTY = "(no explanation)"  # replaces an empty rationale

_NAME = re.compile(r"\{(\w*)\}")


def template(path: str | None = None) -> str:
    """Read the template from a user's file, or the default one.

    Raises:
        ConfigError: if the file cannot be read, lacks a placeholder or has an unknown one.
    """
    if path is None:
        default = resources.files("qcrd.judging").joinpath("prompts", "pair.txt")
        return default.read_text(encoding="utf-8").strip()
    try:
        with open(replaced(path), encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--prompt: {path!r} cannot be read as a text file ({error})") from error
    names = set(_NAME.findall(text))
    if unknown := sorted(names - {"task", *NEEDED}):
        allowed = ", ".join(f"{{{name}}}" for name in ("task", *NEEDED))
        raise ConfigError(f"--prompt: {path} has the name {{{unknown[0]}}}; allowed: {allowed}")
    if missing := [name for name in NEEDED if name not in names]:
        raise ConfigError(f"--prompt: {path} lacks {{{missing[0]}}}; write it where the {missing[0]} belongs")
    return text.strip()


def prompt(template: str, task: Task, question: Question, first: str, second: str) -> Prompt:
    """The judge's prompt for two explanations in this order, as a single message."""
    values = {
        "task": task.name,
        "question": task.prompt(question).question,  # with its choices or premise, as in the teacher's prompt
        "answer": question.label,
        "first": first or EMPTY,
        "second": second or EMPTY,
    }
    return Prompt(_NAME.sub(lambda match: values[match[1]], template), cues=("", ""))
