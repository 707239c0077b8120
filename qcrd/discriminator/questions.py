"""What the discriminator learns from: rationales of several sources; and the questions held out from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from qcrd import config
from qcrd.discriminator.tokenizer import question_ids, rationale_ids
from qcrd.rationales.augment import Augmenter
from qcrd.seeds import derive
from qcrd.types import RationaleSet

Tokens = list[int]

SOURCES = ("positive", "teacher", "augmented", "selfplay")
"""Where a row's rationale is from: the first is right, the others are negatives."""
MOST_HELD_OUT = 256  # questions; their AUC is then good to 0.03


@dataclass(frozen=True, slots=True)
class DiscriminatorQuestion:
    """A question in the discriminator's token ids; rationales have their end-of-sequence tokens."""

    text: Tokens  # the question, with its end-of-sequence token
    positives: list[Tokens]
    negatives: list[Tokens]  # the teacher's
    augmented: Sequence[Tokens] = ()  # negatives made of positives
    played: Sequence[Tokens] = ()  # negatives of the student's self-play
    held_out: bool = False  # never trained on

    @property
    def two_sided(self) -> bool:
        """Whether it has both positives and negatives, so that there is something to rank."""
        return bool(self.positives) and any(map(len, (self.negatives, self.augmented, self.played)))

    @property
    def tokens(self) -> int:
        """That the discriminator reads to score all its rationales."""
        groups = (self.positives, self.negatives, self.augmented, self.played)
        return sum(len(self.text) + len(rationale) for group in groups for rationale in group)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rationales of several questions, one token sequence `question </s> rationale </s>` each."""

    tokens: list[Tokens]
    source: Tensor  # [R] long: place in SOURCES
    question: Tensor  # [R] long: position of the question

    @classmethod
    def of(cls, questions: Sequence[DiscriminatorQuestion], device: torch.device) -> Rows:
        """All rationales of the questions."""
        tokens, source, question = [], [], []
        for number, q in enumerate(questions):
            for kind, group in enumerate((q.positives, q.negatives, q.augmented, q.played)):
                tokens += [q.text + rationale for rationale in group]
                source += [kind] * len(group)
                question += [number] * len(group)
        numbers = (torch.tensor(values, dtype=torch.long, device=device) for values in (source, question))
        return cls(tokens, *numbers)

    @property
    def positive(self) -> Tensor:
        """[R] bool."""
        return self.source == 0


def discriminator_questions(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    sets: Sequence[RationaleSet],
    lengths: config.Student,
    held: frozenset[int] = frozenset(),
) -> list[DiscriminatorQuestion]:
    """The questions and their sets' distinct rationales as tokens.

    Args:
        tokenizer: the discriminator's.
        texts: of the questions.
        sets: one for each question.
        lengths: max_input and max_rationale.
        held: numbers of the questions that are held out, as `held_out` gives them.
    """

    def tokens(group: Sequence[str]) -> list[Tokens]:
        return rationale_ids(tokenizer, list(dict.fromkeys(group)), lengths.max_rationale)

    asked = question_ids(tokenizer, texts, lengths.max_input)
    return [
        DiscriminatorQuestion(text, tokens(group.positives), tokens(group.negatives), held_out=n in held)
        for n, (text, group) in enumerate(zip(asked, sets, strict=True))
    ]


def augmentation(
    sets: Sequence[RationaleSet], section: config.Discriminator, seed: int
) -> Callable[[int], list[tuple[str, ...]]]:
    """What makes, anew for each epoch, each set's augmented negatives.

    They are `section.augment` changed copies of each distinct positive, none of them equal to a positive.
    """
    # Cells that share a discriminator may differ in whether they keep questions without positives, so these
    # give no words.
    corpus = (r for s in sets if s.positives for r in (*s.positives, *s.negatives))
    augment = Augmenter(corpus, section.augmentation)

    def made(epoch: int) -> list[tuple[str, ...]]:
        random = Random(derive(seed, "augment", epoch))
        result = []
        for group in sets:
            distinct = dict.fromkeys(group.positives)
            copies = [augment(positive, random) for positive in distinct for _ in range(section.augment)]
            result.append(tuple(text for text in copies if text is not None and text not in distinct))
        return result

    return made


def with_augmented(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[DiscriminatorQuestion],
    made: Sequence[Sequence[str]],
    lengths: config.Student,
) -> list[DiscriminatorQuestion]:
    """The questions with these augmented negatives, but for those that are a positive in tokens."""
    rows = iter(rationale_ids(tokenizer, [text for group in made for text in group], lengths.max_rationale))
    return [
        replace(q, augmented=[row for row in islice(rows, len(group)) if row not in q.positives])
        for q, group in zip(questions, made, strict=True)
    ]


def held_out(sets: Sequence[RationaleSet], share: float, seed: int) -> frozenset[int]:
    """Numbers of the questions that the discriminator never trains on, of those with both kinds.

    Which ones depends on the seed and the questions' ids alone. A share above 0 holds out at least one, where
    two have both kinds, and at most MOST_HELD_OUT.
    """
    both = [n for n, group in enumerate(sets) if group.positives and group.negatives]
    if not share or len(both) < 2:
        return frozenset()
    count = min(max(1, round(share * len(both))), MOST_HELD_OUT, len(both) - 1)
    return frozenset(sorted(both, key=lambda n: derive(seed, "held out", sets[n].question_id))[:count])


def chunks(questions: Sequence[DiscriminatorQuestion], most: int) -> Iterator[list[DiscriminatorQuestion]]:
    """The questions in runs of at most `most` tokens; one of more is a run by itself."""
    run: list[DiscriminatorQuestion] = []
    size = 0
    for question in questions:
        if run and size + question.tokens > most:
            yield run
            run, size = [], 0
        run.append(question)
        size += question.tokens
    if run:
        yield run
