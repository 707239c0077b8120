"""Instructions and few-shot examples for the teacher, in files that a user can replace.

A file has the instructions, then pairs of `Q: ...` and `A: ...`, with blank lines between them.

    Answer the question. Reason first, then end with "The answer is" and the answer.

    Q: There are 3 red and 4 blue cups. How many cups are there?
    A: 3 red and 4 blue cups are 3 + 4 = 7 cups. The answer is (3 + 4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from qcrd.config.paths import replaced
from qcrd.errors import ConfigError

_EXAMPLE = re.compile(r"\n\s*\nQ:(?P<question>.*?)\nA:(?P<answer>.*?)(?=\n\s*\nQ:|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shots:
    """The part of a prompt before the question."""

    system: str = ""  # instructions; "" for none
    examples: tuple[tuple[str, str], ...] = ()  # (question, answer)


@lru_cache(maxsize=32)
def packaged(name: str) -> Shots:
    """Read a file in `qcrd/tasks/prompts`, such as `svamp.txt`."""
    return parse(resources.files("qcrd.tasks").joinpath("prompts", name).read_text(encoding="utf-8"), name)


def read(path: str) -> Shots:
    """Read a user's file; `~` and environment variables in the path are expanded.

    Raises:
        ConfigError: if it cannot be read or has another format.
    """
    try:
        file = Path(replaced(path))
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"task.prompt: {path!r} cannot be read as a text file ({error})") from error
    return parse(text, f"task.prompt: {file}")


def parse(text: str, name: str) -> Shots:
    """Parse the text of a file.

    Args:
        text: the text.
        name: name of the file, for messages.

    Raises:
        ConfigError: if a `Q:` has no `A:`, or the text is empty.
    """
    text = "\n\n" + text.strip().replace("\r\n", "\n")
    matches = list(_EXAMPLE.finditer(text))
    system = text[: matches[0].start()] if matches else text
    examples = tuple((match["question"].strip(), match["answer"].strip()) for match in matches)
    questions = len(re.findall(r"^Q:", text, re.MULTILINE))
    if questions != len(examples) or not all(q and a for q, a in examples) or not text.strip():
        raise ConfigError(
            f"{name}: {questions} questions, {len(examples)} of them with an answer; expected instructions, "
            "then `Q: ...` and on the next line `A: ...`, with a blank line before each Q"
        )
    return Shots(system.strip(), examples)
