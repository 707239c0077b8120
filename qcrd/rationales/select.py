"""Which of a question's rationales are learnt from: right ones, no near-duplicates, and then n of them.

After MoRSD (Model-Oriented Rationale Selection Distillation): accuracy, diversity, difficulty, in this order.
The paper's code is not at hand; docs/methods.md says how it is read. A rule of one's own is a `Rule` in
`SELECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from random import Random

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.rationales.augment import TOKEN
from qcrd.registry import Registry


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rationale that may be chosen."""

    text: str
    right: bool  # whether its answer is the one that is trained on
    difficulty: float | None = None  # its Rationale Difficulty; None where the rule does not measure it

    @property
    def measured(self) -> float:
        """Its Rationale Difficulty.

        Raises:
            ValueError: where it was not measured.
        """
        if self.difficulty is None:
            raise ValueError("the difficulty of this candidate was not measured; see Rule.measures")
        return self.difficulty


Choose = Callable[[Sequence[Candidate], int, Random], Sequence[int]]
"""(candidates in the order in which they were drawn, n, chance) -> numbers of those that are learnt from,
from 0, none of them twice."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A way of choosing among a question's candidates."""

    name: str
    choose: Choose
    measures: bool = False  # whether it reads the difficulty
    renews: bool = False  # whether it chooses anew in each iteration though nothing was measured anew
    counts: bool = True  # whether it reads n

    def __post_init__(self) -> None:
        if not callable(self.choose):
            raise ConfigError(
                f"selection rule {self.name!r}: choose: value {self.choose!r}; allowed: a function of "
                "candidates, n and chance"
            )


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the filters left of one question's rationales, and why the others went."""

    kept: tuple[int, ...]  # their numbers
    wrong: int
    near_duplicates: int


def filtered(
    texts: Sequence[str], right: Sequence[bool], accuracy: bool, threshold: float | None
) -> Filtered:
    """Accuracy filter, then diversity filter.

    Args:
        texts: rationales in the order in which they were drawn.
        right: whether the answer of each is the one that is trained on.
        accuracy: whether wrong ones go.
        threshold: of near-duplicates, those with a larger Jaccard similarity of their word sets, the first
            stays; None lets all stay.
    """
    passed = [n for n, ok in enumerate(right) if ok or not accuracy]
    kept: dict[int, frozenset[str]] = {}
    for n in passed:
        own = words(texts[n]) if threshold is not None else frozenset()
        if threshold is None or all(jaccard(own, other) <= threshold for other in kept.values()):
            kept[n] = own
    return Filtered(tuple(kept), len(texts) - len(passed), len(passed) - len(kept))


def passing(drawn: Sequence[tuple[str, bool]], section: config.Selection) -> tuple[list[Candidate], Filtered]:
    """The candidates that the filters leave of one question's rationales.

    Args:
        drawn: text and whether it is right, in the order in which they were drawn.
        section: the settings with the method's own for those that are None.
    """
    threshold = section.threshold if section.diversity else None
    left = filtered([text for text, _ in drawn], [ok for _, ok in drawn], bool(section.accuracy), threshold)
    return [Candidate(*drawn[n]) for n in left.kept], left


def words(text: str) -> frozenset[str]:
    """Its words, numbers and marks, whatever their case."""
    return frozenset(TOKEN.findall(text.casefold()))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Share of the words of either that both have; 1 for two empty sets."""
    both = len(a & b)
    return both / (len(a) + len(b) - both) if a or b else 1.0


def by_difficulty(sign: int) -> Choose:
    """The n of least (1) or greatest (-1) Rationale Difficulty; the first drawn of equals."""

    def choose(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
        return sorted(range(len(candidates)), key=lambda i: sign * candidates[i].measured)[:n]

    return choose


def everything(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
    """All of them."""
    return range(len(candidates))


def first(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
    """The n that were drawn first."""
    return range(len(candidates))[:n]


def at_random(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
    """Any n."""
    return chance.sample(range(len(candidates)), min(n, len(candidates)))


RULES = (
    Rule("all", everything, counts=False),
    Rule("first", first),
    Rule("min_rd", by_difficulty(1), measures=True),
    Rule("max_rd", by_difficulty(-1), measures=True),
    Rule("random", at_random, renews=True),
)
SELECTIONS: Registry[Rule] = Registry("selection.rule", Rule, RULES)


def choose(
    rule: Rule, candidates: Sequence[Candidate], n: int | None, chance: Random, question_id: str
) -> list[int]:
    """The numbers of the candidates that a rule chooses of a question's.

    Args:
        rule: which chooses.
        candidates: in the order in which they were drawn.
        n: how many at most; None is all of them.
        chance: what random rules draw from.
        question_id: for messages.

    Raises:
        ConfigError: where they are none, which only a plugin's rule can give.
    """
    chosen = rule.choose(candidates, len(candidates) if n is None else n, chance)
    numbers: list[int] | None
    try:
        numbers = [index(number) for number in chosen]
    except TypeError:
        numbers = None
    if numbers is None or len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(len(candidates))):
        raise ConfigError(
            f"selection.rule: {rule.name!r} chose {chosen!r} of the {len(candidates)} candidates of "
            f"question {question_id!r}; allowed: a sequence of their numbers, from 0, "
            "none of them twice; mend the rule"
        )
    return numbers


def rule_of(section: config.Selection) -> Rule:
    """The rule of a selection whose settings are filled in, as `Method.selection` gives it."""
    if section.rule is None:
        raise ValueError("selection.rule is None; fill in the method's own settings first")
    return SELECTIONS[section.rule]


def renewed(section: config.Selection) -> bool:
    """Whether each iteration chooses anew: the student that measures has learnt, or the rule is random.

    Args:
        section: the settings with the method's own for those that are None.
    """
    rule = rule_of(section)
    return rule.renews or (rule.measures and section.measured_by is None)
