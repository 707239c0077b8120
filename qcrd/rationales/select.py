"""Rationale selection: filter a question's rationales by accuracy and diversity, then select n by a rule.

Follows MoRSD (Model-Oriented Rationale Selection Distillation): accuracy, diversity, difficulty, in this
order. Its code is not available; docs/methods.md documents the interpretation. Plugins register a custom
`Rule` in `SELECTIONS`.
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
    """A rationale that can be selected."""

    text: str
    right: bool  # whether its answer is the training label's
    difficulty: float | None = None  # Rationale Difficulty; None if the rule does not need it

    @property
    def measured(self) -> float:
        """The Rationale Difficulty.

        Raises:
            ValueError: if it was not measured.
        """
        if self.difficulty is None:
            raise ValueError("the difficulty of this candidate was not measured; see Rule.measures")
        return self.difficulty


Choose = Callable[[Sequence[Candidate], int, Random], Sequence[int]]
"""(candidates in sampling order, n, random generator) -> distinct 0-based indices of the selected ones."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A selection rule."""

    name: str
    choose: Choose
    measures: bool = False  # whether it needs the candidates' difficulty
    renews: bool = False  # whether to re-select in every iteration even if difficulty is not re-measured
    counts: bool = True  # whether it uses n

    def __post_init__(self) -> None:
        if not callable(self.choose):
            raise ConfigError(
                f"selection rule {self.name!r}: choose: value {self.choose!r}; allowed: a function of "
                "candidates, n and chance"
            )


@dataclass(frozen=True, slots=True)
class Filtered:
    """Result of filtering one question's rationales."""

    kept: tuple[int, ...]  # indices of the remaining rationales
    wrong: int  # number removed by the accuracy filter
    near_duplicates: int  # number removed by the diversity filter


def filtered(
    texts: Sequence[str], right: Sequence[bool], accuracy: bool, threshold: float | None
) -> Filtered:
    """Apply the accuracy filter, then the diversity filter.

    Args:
        texts: rationales in sampling order.
        right: for each rationale whether its answer is the training label's.
        accuracy: whether to remove wrong rationales.
        threshold: remove rationales whose word set has a larger Jaccard similarity with an earlier one that
            is kept; None disables the diversity filter.
    """
    passed = [n for n, ok in enumerate(right) if ok or not accuracy]
    kept: dict[int, frozenset[str]] = {}
    for n in passed:
        word_set = words(texts[n]) if threshold is not None else frozenset()
        if threshold is None or all(jaccard(word_set, other) <= threshold for other in kept.values()):
            kept[n] = word_set
    return Filtered(tuple(kept), len(texts) - len(passed), len(passed) - len(kept))


def passing(drawn: Sequence[tuple[str, bool]], section: config.Selection) -> tuple[list[Candidate], Filtered]:
    """Candidates that remain after filtering one question's rationales.

    Args:
        drawn: (text, whether it is correct) in sampling order.
        section: settings with the method's defaults filled in.
    """
    threshold = section.threshold if section.diversity else None
    result = filtered([text for text, _ in drawn], [ok for _, ok in drawn], bool(section.accuracy), threshold)
    return [Candidate(*drawn[n]) for n in result.kept], result


def words(text: str) -> frozenset[str]:
    """Set of words, numbers and punctuation marks, ignoring case."""
    return frozenset(TOKEN.findall(text.casefold()))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard similarity of two sets; 1 if both are empty."""
    both = len(a & b)
    return both / (len(a) + len(b) - both) if a or b else 1.0


def by_difficulty(sign: int) -> Choose:
    """Select the n candidates of lowest (sign 1) or highest (-1) Rationale Difficulty; ties by sampling
    order."""

    def choose(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
        return sorted(range(len(candidates)), key=lambda i: sign * candidates[i].measured)[:n]

    return choose


def everything(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
    """Select all candidates."""
    return range(len(candidates))


def first(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
    """Select the first n candidates in sampling order."""
    return range(len(candidates))[:n]


def at_random(candidates: Sequence[Candidate], n: int, chance: Random) -> Sequence[int]:
    """Select n candidates uniformly at random."""
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
    """Apply a rule to a question's candidates and validate its result.

    Args:
        rule: the selection rule.
        candidates: in sampling order.
        n: maximum number to select; None: all.
        chance: random generator for random rules.
        question_id: for messages.

    Returns:
        Distinct 0-based indices of the selected candidates.

    Raises:
        ConfigError: if the rule returns anything else, which only a plugin's rule can do.
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
    """The rule of a selection section with the method's defaults filled in, as returned by
    `Method.selection`."""
    if section.rule is None:
        raise ValueError("selection.rule is None; fill in the method's own settings first")
    return SELECTIONS[section.rule]


def renewed(section: config.Selection) -> bool:
    """Whether to re-select in every iteration: the rule is random, or the student itself measures difficulty.

    Args:
        section: settings with the method's defaults filled in.
    """
    rule = rule_of(section)
    return rule.renews or (rule.measures and section.measured_by is None)
