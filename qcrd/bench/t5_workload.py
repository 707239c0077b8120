"""T5 students of the benchmarks: randomly initialised, of published sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from qcrd import config
from qcrd.bench.texts import ACTIVE_DELTA, MAX_RATIONALE, Texts
from qcrd.discriminator.load import load_discriminator
from qcrd.discriminator.questions import discriminator_questions
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.objectives.base import Objective
from qcrd.student.base import Student
from qcrd.student.t5.student import T5Student

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


@dataclass(frozen=True, slots=True)
class T5Workload:
    """Texts, and what is needed to build T5 students and objectives; a `Workload`."""

    texts: Texts
    tokenizer: PreTrainedTokenizerBase
    shape: T5Config
    device: torch.device
    bf16: bool

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
    ) -> T5Workload:
        """Draw random texts for a student.

        Args:
            size: size of the student.
            questions: number of questions.
            m: teacher rationales per question.
            k: self-play rationales per question.
            dropout: dropout of the student.
            bf16: whether to use autocast to bf16.
            device: "cpu" or "cuda"; None for the GPU if there is one.
        """
        shape = T5Config(
            **SIZES[size], feed_forward_proj="relu", dropout_rate=dropout,
            pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
        )  # fmt: skip
        words = [f"w{n}" for n in range(shape.vocab_size - 5)]
        tokenizer = word_level_tokenizer(["predict", "explain", *words], append_eos=True)
        torch_device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(Texts.draw(words, questions, m, k), tokenizer, shape, torch_device, bf16)

    def student(self) -> T5Student:
        """A new student with random weights, the same in each call."""
        torch.manual_seed(0)
        return T5Student(T5ForConditionalGeneration(self.shape).to(self.device), self.tokenizer, self.bf16)

    def objective(
        self, method: str, student: Student, scheme: str, discriminator: bool, delta: float = ACTIVE_DELTA
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
            texts = [q.text for q in self.texts.questions]
            questions = discriminator_questions(self.tokenizer, texts, self.texts.sets, section)
        return self.texts.objective(method, student, section, scheme, delta, trainer, questions)

    def write(
        self,
        student: Student,
        inputs: Sequence[list[int]],
        lengths: Sequence[int],
        sampling: config.SelfPlay,
        generator: Generator,
        draws: int,
        batch: int,
    ) -> None:
        """See `Workload.write`."""
        student.generate(
            inputs, lengths, sampling.tau, generator, draws, batch, sampling.top_k, sampling.top_p
        )
