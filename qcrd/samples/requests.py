"""What a teacher is: a function from requests to samples, and the identity of all that shapes its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qcrd.fingerprint import fingerprint
from qcrd.types import Prompt, Question, Sample


@dataclass(frozen=True, slots=True)
class Request:
    """One draw to be made: the `index`-th answer to a prompt."""

    prompt_id: str  # fingerprint of the prompt's text
    question_id: str
    index: int  # 0-based number of the draw
    prompt: Prompt
    seed: int  # 48 bits, its own for every (teacher seed, prompt, index)

    @property
    def key(self) -> tuple[str, int]:
        """What the sample is stored under."""
        return self.prompt_id, self.index


class SampleFn(Protocol):
    """Answers requests: at most one sample each, in any order, as they come.

    A sample depends on its own request alone, never on those that it travels with. A teacher that has
    no answer to a request (a file of recorded ones) leaves it out.
    """

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """The samples of `requests`, in lists that can be stored as soon as they are there."""
        ...


def requests(
    questions: Iterable[Question], prompt: Callable[[Question], Prompt], m: int, seed: int
) -> list[Request]:
    """The first `m` draws of every question, in the order of the questions.

    The seed of a draw comes from (`seed`, prompt, index) alone, so draw i is the same for every m > i and
    whatever else is asked for; and it differs between questions, because one seed for all of them makes
    their errors go together.
    """
    made = []
    for question in questions:
        asked = prompt(question)
        prompt_id = fingerprint(asked.text)
        made += [
            Request(prompt_id, question.id, i, asked, int(fingerprint([seed, prompt_id, i]), 16))
            for i in range(m)
        ]
    return made


def sampler_key(identity: dict[str, Any]) -> str:
    """The short id under which a sampler's answers are stored."""
    return fingerprint(identity)
