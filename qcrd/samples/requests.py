"""Requests to a teacher, the teacher's interface, and the id of a sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qcrd.fingerprint import fingerprint
from qcrd.types import Prompt, Question, Sample


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one draw: the `index`-th answer to a prompt."""

    prompt_id: str  # fingerprint of the prompt's text
    question_id: str
    index: int  # 0-based index of the draw
    prompt: Prompt
    seed: int  # 48 bits, unique for each (teacher seed, prompt, index)

    @property
    def key(self) -> tuple[str, int]:
        """Key of the sample in the store."""
        return self.prompt_id, self.index


class SampleFn(Protocol):
    """A teacher: generates at most one sample per request, in any order.

    A sample must depend only on its own request, not on others in the same batch. Requests without an answer
    (such as missing recorded answers) are skipped.
    """

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """Yield the samples in lists, which are stored as they arrive."""
        ...


def requests(
    questions: Iterable[Question], prompt: Callable[[Question], Prompt], m: int, seed: int
) -> list[Request]:
    """Create requests for the first `m` draws of every question, in the order of the questions.

    The seed of a draw depends only on (`seed`, prompt, index), so draw i is the same for every m > i and for
    any set of questions. Seeds differ between questions, because a common seed correlates their errors.
    """
    result = []
    for question in questions:
        question_prompt = prompt(question)
        prompt_id = fingerprint(question_prompt.text)
        result += [
            Request(prompt_id, question.id, i, question_prompt, int(fingerprint([seed, prompt_id, i]), 16))
            for i in range(m)
        ]
    return result


def sampler_key(identity: dict[str, Any]) -> str:
    """Id of a sampler, the name of its folder in the store."""
    return fingerprint(identity)
