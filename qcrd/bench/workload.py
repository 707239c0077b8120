"""What the training step is measured on: a random T5 of a real size, and texts of SVAMP's lengths.

What the tokens say does not matter to the time that they take, so they are random; what matters are the
shape of the model, the lengths and how many of a question's rationales are right.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from qcrd import config, tasks
from qcrd.discriminator.model import load_discriminator
from qcrd.discriminator.questions import discriminator_questions
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.methods import METHODS
from qcrd.objectives.base import Ingredients, Objective
from qcrd.student.t5.student import T5Student
from qcrd.types import Question, RationaleSet

Size = Literal["tiny", "small", "base"]
SIZES: dict[Size, dict] = {
    # The embedded preset's student, and T5 v1.0 as published: 60 and 220 million weights.
    "tiny": {"vocab_size": 256, "d_model": 64, "d_kv": 8, "d_ff": 128, "num_layers": 2, "num_heads": 8},
    "small": {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    "base": {
        "vocab_size": 32128,
        "d_model": 768,
        "d_kv": 64,
        "d_ff": 3072,
        "num_layers": 12,
        "num_heads": 12,
    },
}
RIGHT = 0.8  # share of the teacher's answers that are right, as of those recorded on SVAMP
PUSHING = 100.0  # nats per token: a margin beyond what a random student gives any rationale
LONGEST = 133  # tokens of a recorded rationale on SVAMP


@dataclass(frozen=True, slots=True)
class Lengths:
    """In T5's pieces, as measured on SVAMP and the answers recorded for it, end of sequence included."""

    question: Callable[[random.Random], int] = lambda r: round(min(max(r.gauss(43, 10), 25), 85))
    rationale: Callable[[random.Random], int] = lambda r: round(
        min(max(r.gammavariate(3.3, 11.8), 4), LONGEST)
    )
    label: Callable[[random.Random], int] = lambda r: round(min(max(r.gauss(11.4, 2.8), 6), 19))


@dataclass(frozen=True, slots=True)
class Workload:
    """Questions with their rationales, and all that a method's objective is built from."""

    questions: list[Question]
    sets: list[RationaleSet]
    written: list[int]  # tokens of the rationale that the student writes to each question in self-play
    tokenizer: PreTrainedTokenizerBase
    shape: T5Config
    device: torch.device
    bf16: bool
    m: int
    k: int

    @classmethod
    def of(
        cls,
        size: Size,
        questions: int,
        m: int,
        k: int,
        dropout: float = 0.0,
        bf16: bool = False,
        device: str | None = None,
        seed: int = 0,
    ) -> Workload:
        """Draw a workload; with m = 1 every answer is right, so that no question drops out.

        Args:
            size: of the student.
            questions: how many.
            m: the teacher's rationales per question.
            k: self-play's.
            dropout: of the student.
            bf16: whether autocast is on.
            device: "cpu" or "cuda"; None takes the GPU where there is one.
            seed: of the lengths and words.
        """
        dice, lengths = random.Random(seed), Lengths()
        shape = T5Config(
            **SIZES[size], feed_forward_proj="relu", dropout_rate=dropout,
            pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
        )  # fmt: skip
        words = [f"w{n}" for n in range(shape.vocab_size - 5)]
        # The prefix's two tokens are part of a question's length.
        tokenizer = word_level_tokenizer(["predict", "explain", *words], append_eos=True)

        def text(tokens: int) -> str:
            return " ".join(dice.choices(words, k=max(tokens - 1, 1)))

        asked, sets = [], []
        for number in range(questions):
            asked.append(Question(str(number), text(lengths.question(dice) - 2), text(lengths.label(dice))))
            rationales = [text(lengths.rationale(dice)) for _ in range(m)]
            right = [n == 0 or dice.random() < RIGHT for n in range(m)]
            sets.append(
                RationaleSet(
                    asked[-1].id,
                    asked[-1].label,
                    tuple(r for r, ok in zip(rationales, right, strict=True) if ok),
                    tuple(r for r, ok in zip(rationales, right, strict=True) if not ok),
                )
            )
        written = [lengths.rationale(dice) for _ in range(questions * k)]
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(asked, sets, written, tokenizer, shape, place, bf16, m, k)

    def student(self) -> T5Student:
        """A student of its own, random but always the same."""
        torch.manual_seed(0)
        return T5Student(T5ForConditionalGeneration(self.shape).to(self.device), self.tokenizer, self.bf16)

    def objective(
        self, method: str, student: T5Student, scheme: str, discriminator: bool, delta: float = PUSHING
    ) -> Objective:
        """A method's loss, with SPEC's defaults but for the margin.

        Args:
            method: its name.
            student: whose.
            scheme: of QCRD.
            discriminator: whether a discriminator of the student's size weighs.
            delta: margin, nats per token; by default every chosen negative has a gradient, as in the training
                of a student that has learnt something.
        """
        section = config.Student(
            dropout=self.shape.dropout_rate, max_input=128, max_rationale=LONGEST, max_label=32
        )
        given, questions = None, []
        if discriminator:
            shape = config.Architecture(
                d_model=self.shape.d_model, d_kv=self.shape.d_kv, d_ff=self.shape.d_ff,
                layers=self.shape.num_layers, heads=self.shape.num_heads,
            )  # fmt: skip
            settings = config.Discriminator(architecture=shape)
            precision = "bf16" if self.bf16 else "fp32"
            model = load_discriminator(settings, self.tokenizer, precision, 0, self.device)
            given = DiscriminatorTrainer(model, settings, 0)
            texts = [q.text for q in self.questions]
            questions = discriminator_questions(self.tokenizer, texts, self.sets, section)
        return METHODS[method].objective(
            Ingredients(
                student=student,
                task=tasks.get("arithmetic"),
                questions=self.questions,
                sets=self.sets,
                training=config.Training(),
                lengths=section,
                selection=METHODS[method].selection(config.Selection()),
                measurer=None,
                contrastive=config.Contrastive(scheme=scheme, delta=delta),
                selfplay=config.SelfPlay(k=self.k),
                edit=config.Edit(),
                discriminator=given,
                discriminator_questions=questions,
                seed=0,
            )
        )
