"""The T5 family as a student: packed tokens, and a backward pass over the chosen completions alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Generator, Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcrd.losses.likelihood import row_means, token_cross_entropy
from qcrd.student import flops
from qcrd.student.base import Kind, Student, TokenWeights
from qcrd.student.device import to_device
from qcrd.student.t5.decoding import Head, Writer
from qcrd.student.t5.forward import Memory, Stack
from qcrd.student.t5.limits import RECORDED
from qcrd.student.t5.packing import Layout
from qcrd.student.t5.replay import Arithmetic, Recorder, Replay

# Of DSS's tasks, section 3.1. A student that writes sequences is never asked for the label alone.
PREFIXES: dict[Kind, str] = {"predict": "predict: ", "explain": "explain: ", "solve": "predict: "}


@dataclass(frozen=True, slots=True)
class Targets:
    """R sequences that the decoder reads, packed."""

    rows: Sequence[Sequence[int]]
    source: Sequence[int]  # the input that each answers
    shifted: Tensor  # [N] what is read: each sequence behind the start token, without its last
    layout: Layout
    cross: Layout
    counted: Tensor | None  # [M] the numbers of the tokens that count at all; None is all of them, M = N
    ids: Tensor  # [M] what is to be predicted there
    row: Tensor  # [M] the sequence that each belongs to
    weights: Tensor | None  # [M] how much each counts; None is all alike
    by_row: TokenWeights | None  # the same as they were given


class T5Student(Student):
    """T5, T5 v1.1, FLAN-T5 and mT5: the encoder reads a prompt, the decoder writes the completion."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        bf16: bool,
        commit: str | None = None,
    ):
        super().__init__()
        self.commit = commit
        self.model = model
        self.tokenizer = tokenizer
        self.bf16 = bf16
        self.pad_id = tokenizer.pad_token_id
        self.eos_id = tokenizer.eos_token_id
        self.start_id = model.config.decoder_start_token_id
        # T5 v1.0 scales what its head reads; v1.1 and mT5, whose heads are their own, do not.
        self.scale = model.model_dim**-0.5 if getattr(model.config, "scale_decoder_outputs", False) else 1.0
        self.encoder, self.decoder = Stack(model.encoder), Stack(model.decoder)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def precision(self) -> AbstractContextManager[None]:
        """bf16 autocast where it was asked for; T5 overflows in fp16."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def prompt(self, kind: Kind, question: str) -> str:
        """The question behind its task's prefix."""
        return PREFIXES[kind] + question

    def read(self, prompts: Sequence[Sequence[int]]) -> Memory:
        """Encode B prompts, once for all completions that will attend to them."""
        ids = to_device([token for row in prompts for token in row], self.device)
        lengths = [len(row) for row in prompts]
        with self.precision():
            states = self.encoder.encode(ids, Layout.of(lengths, self.device))
            return self.decoder.remember(states, Layout.of(lengths, self.device, apart=False))

    def cross_entropy(
        self,
        prompts: Memory,
        source: Sequence[int],
        completions: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> Tensor:
        """See `Student.cross_entropy`."""
        targets = self._targets(source, completions, weights)
        return self._cross_entropy(prompts, targets, self.decoder.arithmetic())

    def score(
        self,
        prompts: Memory,
        source: Sequence[int],
        completions: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> T5Scored:
        """See `Student.score`."""
        return T5Scored(self, prompts, self._targets(source, completions, weights))

    def _cross_entropy(self, memory: Memory, targets: Targets, way: Arithmetic) -> Tensor:
        with self.precision():
            hidden = self.decoder.decode(targets.shifted, targets.layout, targets.cross, memory, way)
            if targets.counted is not None:  # the head is dear where the vocabulary is large
                hidden = hidden.index_select(0, targets.counted)
            flops.count(self.model.lm_head.weight.numel(), len(hidden))
            nats = token_cross_entropy(hidden * self.scale, self.model.lm_head.weight, targets.ids)
        return row_means(nats, targets.row, len(targets.rows), targets.weights)

    def _targets(
        self, source: Sequence[int], targets: Sequence[Sequence[int]], weights: TokenWeights | None = None
    ) -> Targets:
        lengths = [len(row) for row in targets]
        ids = [token for row in targets for token in row]
        shifted = [token for row in targets for token in (self.start_id, *row[:-1])]
        row = [number for number, length in enumerate(lengths) for _ in range(length)]
        ids, shifted, row = to_device([ids, shifted, row], self.device)
        counted = values = None
        if weights is not None:
            flat = _flat(weights, lengths)
            counted = to_device([n for n, weight in enumerate(flat) if weight], self.device)
            ids, row = ids.index_select(0, counted), row.index_select(0, counted)
            values = to_device([weight for weight in flat if weight], self.device, torch.float32)
        return Targets(
            targets,
            source,
            shifted,
            Layout.of(lengths, self.device),
            Layout.grouped(lengths, source, self.device),
            counted,
            ids,
            row,
            values,
            weights,
        )

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        limit: int | Sequence[int],
        temperature: float = 0.0,
        generator: Generator | None = None,
        draws: int = 1,
        batch: int = 256,
        top_k: int | None = None,
        top_p: float = 1.0,
    ) -> list[list[int]]:
        """See `Student.generate`."""
        was_training = self.training
        self.eval()
        dtype = torch.bfloat16 if self.bf16 else self.model.lm_head.weight.dtype
        scaled = Head(self.model.lm_head.weight, self.scale, self.start_id, self.eos_id)
        writer = Writer(self.decoder, scaled, self.read, dtype, temperature, generator, top_k, top_p)
        written: list[list[int]] = writer.write(prompts, limit, draws, batch)
        self.train(was_training)
        return written

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer in the Hugging Face format."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


class T5Scored:
    """l(f(x), r) of R targets, with what it takes to differentiate some without computing them anew."""

    def __init__(self, student: T5Student, memory: Memory, targets: Targets):
        """Score them, with dropout where the student is in training."""
        self._student, self._memory, self._targets = student, memory, targets
        rate = student.decoder.arithmetic().rate
        size = sum(weight.shape[0] for block in student.decoder.blocks for weight in block.linear)
        needed = len(targets.shifted) * size * (2 if student.bf16 else 4)
        self._first = Recorder(rate, keep=needed <= RECORDED)
        with torch.no_grad():
            self.values = student._cross_entropy(memory, targets, self._first)
            """[R] nats per token."""

    def differentiable(self, chosen: Sequence[int]) -> Tensor:
        """The values of the chosen targets, with the gradient that they have."""
        student, all_ = self._student, self._targets
        begin = [0, *accumulate(map(len, all_.rows))]
        tokens = [n for r in chosen for n in range(begin[r], begin[r + 1])]
        some = student._targets(
            [all_.source[r] for r in chosen],
            [all_.rows[r] for r in chosen],
            [all_.by_row[r] for r in chosen] if all_.by_row is not None else None,
        )
        replay = Replay(self._first, to_device(tokens, student.device))
        return student._cross_entropy(self._memory, some, replay)


def _flat(weights: TokenWeights, lengths: Sequence[int]) -> list[float]:
    """The weights of all tokens, one sequence behind the other."""
    flat: list[float] = []
    for row, length in zip(weights, lengths, strict=True):
        if row is not None and len(row) != length:
            raise ValueError(f"{len(row)} weights for a target of {length} tokens")
        flat += [1.0] * length if row is None else row
    return flat
