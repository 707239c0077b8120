"""Generated word problems similar to SVAMP, which need neither data files nor a network.

The hash of a problem's text assigns it to one split or to the teacher's training. So splits are disjoint for
all seeds and sizes, and the size of one split does not affect another.
"""

from __future__ import annotations

import hashlib
import random
import re
from functools import cache
from string import Formatter

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks import problems
from qcrd.tasks.problems import ASIDES, Kind
from qcrd.tasks.reading import EquationTask
from qcrd.tasks.shots import Shots
from qcrd.types import Prompt, Question, Splits

SMALLEST, LARGEST = 2, 30  # numbers in a problem, both included
_NUMBERS = range(SMALLEST, LARGEST + 1)  # `choice` of them draws what `randint` does, in half the time
TWO_STEPS = 0.25  # share of problems
ASIDE = 0.4  # share of problems with a number that does not matter
SIZES = {"train": 720, "validation": 80, "test": 200}
CUES = ("Question: ", " Answer:")

# Shares of the 256 values of a text's hash byte.
_SHARES = {
    "teacher": range(0, 128),
    "train": range(128, 192),
    "validation": range(192, 208),
    "test": range(208, 256),
}


class Arithmetic(EquationTask):
    """The task of the embedded preset."""

    name = "arithmetic"
    cue = "Equation"
    stop = ("Question",)

    def vocabulary(self) -> list[str]:
        """The module's `vocabulary`."""
        return vocabulary()

    def load(self, config: config.Task) -> Splits:
        """Generates the three splits from `config.seed`; 720, 80 and 200 questions unless it says otherwise.

        Raises:
            DataError: where a source is given.
        """
        if config.source is not None:
            raise DataError(
                f"task.source: {config.source!r}, but arithmetic is generated; remove task.source"
            )
        return Splits(
            **{
                split: tuple(_draw(config.seed, split, getattr(config, split) or size))
                for split, size in SIZES.items()
            }
        )

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """`Question: TEXT Answer:`, the form that the embedded teacher is trained on; it has no examples."""
        shots = shots or Shots()
        return Prompt(question.text, shots.system, shots.examples, CUES)


def generate(seed: int, n: int, exclude: frozenset[str] = frozenset()) -> list[Question]:
    """Generate `n` problems for the teacher's training, disjoint from all splits of the task.

    Args:
        seed: seed of the generator.
        n: number of problems; a larger n extends the list.
        exclude: texts to leave out, such as those of another call.
    """
    return _draw(seed, "teacher", n, exclude)


def vocabulary() -> list[str]:
    """All tokens of questions, rationales, labels, targets and prompts, sorted.

    Tokens are those of tokenizers' `Sequence([WhitespaceSplit(), Punctuation()])`; numbers are not split.
    """
    return list(_words())


@cache
def _words() -> tuple[str, ...]:
    kinds = [*problems.ONE_STEP, *problems.TWO_STEP]
    texts = [*CUES, EquationTask().target("", "")]
    texts += [text for kind in kinds for text in (*kind.body, kind.question, kind.label, kind.rationale)]
    texts += [text for aside in ASIDES for text in (aside.sentence, aside.rationale)]
    words = {
        word
        for text in texts
        for literal, *_ in Formatter().parse(text)
        for word in re.findall(r"\w+|[^\w\s]", literal)
    }
    for pairs in (problems.PEOPLE, problems.CONTAINERS, problems.GAINS, problems.LOSSES):
        words |= {word for pair in pairs for word in pair}
    words |= {*problems.OBJECTS, *map(str, range(LARGEST + 1))}
    return tuple(sorted(words))


def _draw(seed: int, share: str, n: int, exclude: frozenset[str] = frozenset()) -> list[Question]:
    """`n` different problems of one share. There are billions, so none runs out."""
    rng = random.Random(f"{share} {seed}")
    seen = set(exclude)
    questions: list[Question] = []
    while len(questions) < n:
        text, label, rationale, gaps = _problem(rng)
        if hashlib.sha256(text.encode()).digest()[0] in _SHARES[share] and text not in seen:
            seen.add(text)
            id = f"arithmetic-{share}-{len(questions)}"
            questions.append(Question(id, text, label.format_map(gaps), rationale=rationale.format_map(gaps)))
    return questions


def _problem(rng: random.Random) -> tuple[str, str, str, dict[str, str | int]]:
    """Text of a random problem, templates of its label and rationale, and what fills their gaps.

    Most problems are of other shares, so label and rationale are written for those alone that are kept.
    """
    kind = rng.choice(problems.TWO_STEP if rng.random() < TWO_STEPS else problems.ONE_STEP)
    (a, he), (b, _), (c, _) = rng.sample(problems.PEOPLE, 3)
    o, p = rng.sample(problems.OBJECTS, 2)
    box, boxes = rng.choice(problems.CONTAINERS)
    got, get = rng.choice(problems.GAINS)
    lost, lose = rng.choice(problems.LOSSES)
    x, y, z = _numbers(rng, kind)
    gaps: dict[str, str | int] = {
        "A": a,
        "He": he,
        "B": b,
        "C": c,
        "o": o,
        "p": p,
        "box": box,
        "boxes": boxes,
    }
    gaps |= {"got": got, "get": get, "lost": lost, "lose": lose, "x": x, "y": y, "z": z}
    gaps["d"] = rng.choice(_NUMBERS)
    body, rationale = list(kind.body), kind.rationale
    if rng.random() < ASIDE:
        aside = rng.choice(ASIDES)
        body.insert(
            rng.randint(0, len(body)) if aside.anywhere else rng.choice((0, len(body))), aside.sentence
        )
        rationale = f"{aside.rationale} {rationale}"
    text = " ".join([*body, kind.question])
    return text.format_map(gaps), kind.label, rationale, gaps


def _numbers(rng: random.Random, kind: Kind) -> tuple[int, int, int]:
    """Uniform over the numbers with which the kind is possible."""
    while True:
        x, y, z = rng.choice(_NUMBERS), rng.choice(_NUMBERS), rng.choice(_NUMBERS)
        if kind.possible(x, y, z):
            return x, y, z
