"""A deterministic teacher that remembers what it was asked, and requests for it."""

import os
import time
from pathlib import Path

from qcrd.samples.draw import draw
from qcrd.samples.requests import Request, requests
from qcrd.samples.store import SampleStore
from qcrd.types import Limit, Prompt, Question, Sample

IDENTITY = {"engine": "echo", "temperature": 0.7}
LIMIT = Limit(256)


def asked(n: int = 3, m: int = 2, seed: int = 0) -> list[Request]:
    """Requests of `n` questions, `m` draws each."""
    questions = [Question(id=f"q-{i}", text=f"how many {i}", label=str(i)) for i in range(n)]
    return requests(questions, lambda q: Prompt(q.text), m, seed)


def ignore(done: int, total: int, rate: float) -> None:
    """A progress that nobody watches."""


class Echo:
    """Answers with the request's seed, some at a time; writes every draw to `diary` where there is one."""

    def __init__(self, diary: Path | None = None, pause: float = 0.0, size: int = 4):
        self.size = size
        self.drawn: list[tuple[str, int]] = []
        self.calls = 0
        self.diary = diary
        self.pause = pause

    def __call__(self, asked):
        for start in range(0, len(asked), self.size):
            yield self.answer(asked[start : start + self.size])

    def answer(self, batch):
        time.sleep(self.pause)
        self.calls += 1
        self.drawn += [r.key for r in batch]
        if self.diary:
            with open(self.diary, "a") as file:
                file.writelines(f"{r.prompt_id} {r.index} {os.getpid()}\n" for r in batch)
        return samples_of(batch)


def samples_of(asked: list[Request]) -> list[Sample]:
    """What it answers."""
    return [Sample(r.prompt_id, r.question_id, r.index, f"seed {r.seed} é\n", "stop", 3) for r in asked]


def draw_in_process(root: Path, diary: Path, pause: float) -> None:
    """What a job does: 20 questions, two draws each, stored four at a time."""
    draw(SampleStore(root, IDENTITY, LIMIT), asked(20, 2), Echo(diary, pause), ignore, commit=4)
