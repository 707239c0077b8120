"""Decoder-only students of the benchmarks: two with random weights, and a pretrained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator
from transformers import PreTrainedTokenizerBase

from qcrd import config
from qcrd.bench.texts import ACTIVE_DELTA, MAX_RATIONALE, Texts
from qcrd.errors import ConfigError
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.objectives.base import Objective
from qcrd.student.base import Student
from qcrd.student.causal.decoding import Sampling, Writer
from qcrd.student.causal.load import load_causal
from qcrd.student.causal.student import CausalStudent
from qcrd.student.tokenizer import CAUSAL_WORDS, load_tokenizer

CausalName = Literal["llama-tiny", "smollm2", "qwen-0.5b"]
Targets = Literal["multitask", "sequence"]

CHECKPOINTS: dict[CausalName, str] = {"smollm2": "smollm2-135m"}
RANDOM: dict[CausalName, tuple[config.Architecture, int]] = {
    # A step of a few questions takes a laptop less than a second.
    "llama-tiny": (
        config.Architecture(family="llama", d_model=256, d_kv=64, d_ff=704, layers=4, heads=4, kv_heads=2),
        4_096,
    ),
    # Qwen2-0.5B as published: 494 million parameters, head tied to the embeddings.
    "qwen-0.5b": (
        config.Architecture(
            family="qwen2", d_model=896, d_kv=64, d_ff=4_864, layers=24, heads=14, kv_heads=2
        ),
        151_936,
    ),
}
"""Shape and number of tokens."""
SPECIAL = 3  # tokens of a word-level tokenizer that are no words
CUE = "The answer is ."  # words that stand between a rationale and its label in a sequence


@dataclass(frozen=True, slots=True)
class CausalWorkload:
    """Texts, and what is needed to build decoder-only students and objectives; a `Workload`."""

    texts: Texts
    tokenizer: PreTrainedTokenizerBase
    section: config.Student
    device: torch.device

    @property
    def bf16(self) -> bool:
        """Whether students compute under autocast to bf16."""
        return self.section.precision == "bf16"

    @classmethod
    def draw(
        cls,
        name: CausalName,
        questions: int,
        m: int,
        k: int,
        dropout: float = 0.0,
        bf16: bool = False,
        device: str | None = None,
        targets: Targets = "multitask",
    ) -> CausalWorkload:
        """Draw random texts for a student.

        Args:
            name: of the student.
            questions: number of questions.
            m: teacher rationales per question.
            k: self-play rationales per question.
            dropout: of attention probabilities.
            bf16: whether to use autocast to bf16.
            device: "cpu" or "cuda"; None for the GPU if there is one.
            targets: what DSS and QCRD teach the student to write; see `config.Student`.

        Raises:
            ConfigError: where a checkpoint's package is missing.
        """
        section = config.Student(
            checkpoint=CHECKPOINTS.get(name),
            architecture=RANDOM[name][0] if name in RANDOM else config.Architecture(),
            dropout=dropout,
            max_input=128,
            max_rationale=MAX_RATIONALE,
            max_label=32,
            precision="bf16" if bf16 else "fp32",
            targets=targets,
        )
        if section.checkpoint is not None:
            tokenizer = load_tokenizer(section, "--student")
            words = single_tokens(tokenizer)
        else:
            fixed = list(dict.fromkeys((*CAUSAL_WORDS, *CUE.split())))
            words = [f"w{n}" for n in range(RANDOM[name][1] - SPECIAL - len(fixed))]
            tokenizer = word_level_tokenizer([*fixed, *words], append_eos=False)
        torch_device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(Texts.draw(words, questions, m, k), tokenizer, section, torch_device)

    def student(self) -> CausalStudent:
        """A new student, the same in each call."""
        return load_causal(
            self.section, self.tokenizer, 0, self.device, "--student", training=config.Training()
        )

    def objective(
        self, method: str, student: Student, scheme: str, discriminator: bool, delta: float = ACTIVE_DELTA
    ) -> Objective:
        """A method's objective with default settings except for the margin; see `T5Workload.objective`.

        Raises:
            ConfigError: with a discriminator, which these benchmarks have for T5 students alone.
        """
        if discriminator:
            raise ConfigError("--discriminator: only with a T5 student (--student t5-small)")
        return self.texts.objective(method, student, self.section, scheme, delta)

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
        assert isinstance(student, CausalStudent)
        training = student.training
        student.eval()
        never = student.model.get_input_embeddings().num_embeddings  # no token: nothing ends early
        options = Sampling(sampling.tau, sampling.top_k, sampling.top_p)
        Writer(student.model, [never], options, generator, self.bf16).write(inputs, lengths, draws, batch)
        student.train(training)


def single_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Words that are one token each with a space before them, in the order of their ids."""
    ids = range(len(tokenizer))
    texts = tokenizer.batch_decode([[token] for token in ids])
    words = [text[1:] for text in texts if text[:1] == " " and text[1:].isascii() and text[1:].isalpha()]
    rows = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
    return [word for word, row in zip(words, rows, strict=True) if len(row) == 1]
