"""Workload of the benchmarks: a randomly initialised T5 of a published size, and texts of SVAMP's lengths.

Time depends on the shape of the model, the lengths of the texts and the number of correct rationales, not on
the content of the texts, so their tokens are random.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from qcrd import config, tasks
from qcrd.discriminator.load import load_discriminator
from qcrd.discriminator.questions import discriminator_questions
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.methods import METHODS
from qcrd.objectives.base import Ingredients, Objective
from qcrd.student.t5.student import T5Student
from qcrd.types import Question, RationaleSet

Size = Literal["tiny", "small", "base"]
SIZES: dict[Size, dict[str, int]] = {
    # The embedded preset's student, and T5 v1.0 as published: 60 and 220 million parameters.
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
ACCURACY = 0.8  # of the teacher's answers, as recorded on SVAMP
ACTIVE_DELTA = 100.0  # nats per token: a margin above a random student's loss for any rationale
MAX_RATIONALE = 133  # tokens of the longest recorded rationale on SVAMP


@dataclass(frozen=True, slots=True)
class Lengths:
    """Distributions of lengths in T5 tokens (with end of sequence) on SVAMP and its recorded answers."""

    question: Callable[[random.Random], int] = lambda r: round(min(max(r.gauss(43, 10), 25), 85))
    rationale: Callable[[random.Random], int] = lambda r: round(
        min(max(r.gammavariate(3.3, 11.8), 4), MAX_RATIONALE)
    )
    label: Callable[[random.Random], int] = lambda r: round(min(max(r.gauss(11.4, 2.8), 6), 19))


@dataclass(frozen=True, slots=True)
class Workload:
    """Questions with rationales, and what is needed to build students and objectives."""

    questions: list[Question]
    sets: list[RationaleSet]
    selfplay_lengths: list[int]  # tokens of each self-play rationale, k per question
    tokenizer: PreTrainedTokenizerBase
    shape: T5Config
    device: torch.device
    bf16: bool
    m: int  # teacher rationales per question
    k: int  # self-play rationales per question

    @classmethod
    def draw(
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
        """Draw a random workload. The first answer to each question is correct, so no question drops out.

        Args:
            size: size of the student.
            questions: number of questions.
            m: teacher rationales per question.
            k: self-play rationales per question.
            dropout: dropout of the student.
            bf16: whether to use autocast to bf16.
            device: "cpu" or "cuda"; None for the GPU if there is one.
            seed: random seed of lengths and words.
        """
        generator, lengths = random.Random(seed), Lengths()
        shape = T5Config(
            **SIZES[size], feed_forward_proj="relu", dropout_rate=dropout,
            pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
        )  # fmt: skip
        words = [f"w{n}" for n in range(shape.vocab_size - 5)]
        # A question's length includes the two tokens of the prefix.
        tokenizer = word_level_tokenizer(["predict", "explain", *words], append_eos=True)

        def text(tokens: int) -> str:
            return " ".join(generator.choices(words, k=max(tokens - 1, 1)))

        drawn, sets = [], []
        for number in range(questions):
            drawn.append(
                Question(str(number), text(lengths.question(generator) - 2), text(lengths.label(generator)))
            )
            rationales = [text(lengths.rationale(generator)) for _ in range(m)]
            correct = [n == 0 or generator.random() < ACCURACY for n in range(m)]
            sets.append(
                RationaleSet(
                    drawn[-1].id,
                    drawn[-1].label,
                    tuple(r for r, ok in zip(rationales, correct, strict=True) if ok),
                    tuple(r for r, ok in zip(rationales, correct, strict=True) if not ok),
                )
            )
        selfplay_lengths = [lengths.rationale(generator) for _ in range(questions * k)]
        torch_device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(drawn, sets, selfplay_lengths, tokenizer, shape, torch_device, bf16, m, k)

    def student(self) -> T5Student:
        """A new student with random weights, the same in each call."""
        torch.manual_seed(0)
        return T5Student(T5ForConditionalGeneration(self.shape).to(self.device), self.tokenizer, self.bf16)

    def objective(
        self, method: str, student: T5Student, scheme: str, discriminator: bool, delta: float = ACTIVE_DELTA
    ) -> Objective:
        """A method's objective with default settings except for the margin.

        Args:
            method: name of the method.
            student: the student.
            scheme: scheme of QCRD.
            discriminator: whether to weight rationales by a discriminator of the student's size.
            delta: margin, nats per token. With the default, every chosen negative has a gradient, as for a
                trained student.
        """
        section = config.Student(
            dropout=self.shape.dropout_rate, max_input=128, max_rationale=MAX_RATIONALE, max_label=32
        )
        trainer, questions = None, []
        if discriminator:
            shape = config.Architecture(
                d_model=self.shape.d_model, d_kv=self.shape.d_kv, d_ff=self.shape.d_ff,
                layers=self.shape.num_layers, heads=self.shape.num_heads,
            )  # fmt: skip
            settings = config.Discriminator(architecture=shape)
            precision = "bf16" if self.bf16 else "fp32"
            model = load_discriminator(settings, self.tokenizer, precision, 0, self.device)
            trainer = DiscriminatorTrainer(model, settings, 0)
            texts = [q.text for q in self.questions]
            questions = discriminator_questions(self.tokenizer, texts, self.sets, section)
        objective: Objective = METHODS[method].objective(
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
                discriminator=trainer,
                discriminator_questions=questions,
                seed=0,
            )
        )
        return objective
