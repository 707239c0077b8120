"""The student: a T5-family model behind a few calls, so that nothing above knows its architecture.

`encode` reads inputs once, `cross_entropy` and `score` take any number of target sequences against them, and
`generate` writes. Sequences are lists of token ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from qcrd import config
from qcrd.hub.checkpoints import commit, pretrained, pretrained_tokenizer
from qcrd.hub.token_ids import token_ids
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.losses.likelihood import row_means, token_cross_entropy
from qcrd.student import flops
from qcrd.student.t5.decoding import Writer
from qcrd.student.t5.forward import Memory, Stack
from qcrd.student.t5.packing import Layout, sent
from qcrd.student.t5.replay import Arithmetic, Recorder, Replay
from qcrd.tasks.arithmetic import vocabulary

PREDICT, EXPLAIN = "predict: ", "explain: "  # task prefixes of DSS, section 3.1
RECORDED = 4 * 2**30  # bytes that a recorded forward pass may take; beyond that, the chosen are run again
PREFIX_WORDS = ("predict", "explain", ":")  # their tokens, for a closed vocabulary

TokenWeights = Sequence[Sequence[float] | None]
"""For each sequence how much each of its tokens counts in its likelihood; None is all alike."""


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


class Student(nn.Module):
    """An encoder-decoder with its tokenizer.

    Attributes:
        commit: the Hub's commit that the weights were loaded from; None for a folder or random ones.
    """

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

    def precision(self) -> AbstractContextManager:
        """bf16 autocast where it was asked for; T5 overflows in fp16."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def tokens(self, texts: Sequence[str], limit: int) -> list[list[int]]:
        """Token ids of each text with the end-of-sequence token, at most `limit` in all."""
        return tokenise(self.tokenizer, texts, limit)

    def text(self, tokens: Sequence[int]) -> str:
        """Text of one generated sequence, without special tokens."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True).strip()

    def encode(self, inputs: Sequence[Sequence[int]]) -> Memory:
        """Read B inputs, once for all sequences that will attend to them."""
        ids = sent([token for row in inputs for token in row], self.device)
        lengths = [len(row) for row in inputs]
        with self.precision():
            states = self.encoder.encode(ids, Layout.of(lengths, self.device))
            return self.decoder.remember(states, Layout.of(lengths, self.device, apart=False))

    def cross_entropy(
        self,
        memory: Memory,
        source: Sequence[int],
        targets: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> Tensor:
        """l(f(x), r) of R targets.

        Args:
            memory: B inputs.
            source: for each target the number of the input that it answers.
            targets: token sequences, each with its end-of-sequence token.
            weights: of the targets' tokens, none negative; None counts all alike.

        Returns:
            [R] token-mean cross entropy in nats per token; with weights w it is sum w l / sum w, and 0 where
            all of a target's are 0.
        """
        return self._cross_entropy(memory, self._targets(source, targets, weights), self.decoder.arithmetic())

    def score(
        self,
        memory: Memory,
        source: Sequence[int],
        targets: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> Scored:
        """The same without gradient, in a way that lets some of them be differentiated afterwards."""
        return Scored(self, memory, self._targets(source, targets, weights))

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
        ids, shifted, row = sent([ids, shifted, row], self.device)
        counted = values = None
        if weights is not None:
            flat = _flat(weights, lengths)
            counted = sent([n for n, weight in enumerate(flat) if weight], self.device)
            ids, row = ids.index_select(0, counted), row.index_select(0, counted)
            values = sent([weight for weight in flat if weight], self.device, torch.float32)
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
        inputs: Sequence[Sequence[int]],
        limit: int | Sequence[int],
        temperature: float = 0.0,
        generator: Generator | None = None,
        draws: int = 1,
        batch: int = 256,
        top_k: int | None = None,
        top_p: float = 1.0,
    ) -> list[list[int]]:
        """Sequences without their end-of-sequence token, `draws` for each input one after the other.

        Args:
            inputs: token sequences.
            limit: most tokens per sequence, for all or for each.
            temperature: 0 decodes greedily, more samples.
            generator: on the student's device; what sampling draws from.
            draws: sequences per input.
            batch: sequences written side by side.
            top_k: sampling draws among so many of the likeliest tokens; None is all.
            top_p: and among those that together have this share of their probability; 1 is all.
        """
        was_training = self.training
        self.eval()
        dtype = torch.bfloat16 if self.bf16 else self.model.lm_head.weight.dtype
        writer = Writer(self, dtype, temperature, generator, top_k, top_p)
        found = writer.write(inputs, limit, draws, batch)
        self.train(was_training)
        return found

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer in the Hugging Face format."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


class Scored:
    """l(f(x), r) of R targets, with what it takes to differentiate some without computing them anew."""

    def __init__(self, student: Student, memory: Memory, targets: Targets):
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
        replay = Replay(self._first, sent(tokens, student.device))
        return student._cross_entropy(self._memory, some, replay)


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Token ids of each text with the end-of-sequence token, at most `limit` in all."""
    return [[*row[: limit - 1], tokenizer.eos_token_id] for row in token_ids(tokenizer, texts)]


def token_counts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """How many tokens each text has uncut, with the end-of-sequence token."""
    return [len(row) + 1 for row in token_ids(tokenizer, texts)]


def load_tokenizer(section: config.Student, setting: str = "student.checkpoint") -> PreTrainedTokenizerBase:
    """The tokenizer that the settings name; the arithmetic task's word-level one where they name none."""
    if section.tokenizer is None and section.checkpoint is None:
        return _own_tokenizer()
    if section.tokenizer is not None:  # the revision is the checkpoint's
        return pretrained_tokenizer("student.tokenizer", section.tokenizer, None)
    return pretrained_tokenizer(setting, section.checkpoint, section.revision)


@cache  # one object, which the token ids of its texts are kept with
def _own_tokenizer() -> PreTrainedTokenizerBase:
    return word_level_tokenizer([*vocabulary(), *PREFIX_WORDS], append_eos=True)


def load_student(
    section: config.Student, seed: int, device: torch.device, setting: str = "student.checkpoint"
) -> Student:
    """A checkpoint's weights, or random ones from `seed`.

    Dropout is set from the settings because checkpoints differ in what they were pretrained with.

    Args:
        section: the settings.
        seed: of random weights.
        device: where they go.
        setting: that names the checkpoint, for messages.

    Raises:
        ConfigError: where the checkpoint cannot be used; see `pretrained`.
    """
    found = commit(section.checkpoint, section.revision) if section.checkpoint is not None else None
    if found is not None:  # the weights and the tokenizer of one commit, whatever is pushed meanwhile
        section = section.model_copy(update={"revision": found})
    tokenizer = load_tokenizer(section, setting)
    if section.checkpoint is not None:
        model = pretrained(
            setting,
            section.checkpoint,
            section.revision,
            "whole",
            tokenizer,
            dropout_rate=section.dropout,
        )
    else:
        shape = t5_config(section.architecture, tokenizer, section.dropout)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = T5ForConditionalGeneration(shape)
    return Student(model.to(device), tokenizer, section.precision == "bf16", found)


def t5_config(shape: config.Architecture, tokenizer: PreTrainedTokenizerBase, dropout: float) -> T5Config:
    """Configuration of a T5 of the given shape: gated GELU as in v1.1, tied and scaled head as in v1.0.

    transformers 5 ties a new T5's head to the embeddings whatever the configuration says (only a v1.1
    checkpoint, which holds both, comes with a head of its own). Without the scale a fresh student would
    begin at twice the loss of a uniform guess.
    """
    return T5Config(
        vocab_size=len(tokenizer),
        d_model=shape.d_model,
        d_kv=shape.d_kv,
        d_ff=shape.d_ff,
        num_layers=shape.layers,
        num_decoder_layers=shape.layers,
        num_heads=shape.heads,
        dropout_rate=dropout,
        feed_forward_proj="gated-gelu",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )


def _flat(weights: TokenWeights, lengths: Sequence[int]) -> list[float]:
    """The weights of all tokens, one sequence behind the other."""
    flat: list[float] = []
    for row, length in zip(weights, lengths, strict=True):
        if row is not None and len(row) != length:
            raise ValueError(f"{len(row)} weights for a target of {length} tokens")
        flat += [1.0] * length if row is None else row
    return flat
