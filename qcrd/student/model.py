"""The student: a T5-family model behind three calls, so that nothing above knows its architecture.

`encode` reads inputs once, `cross_entropy` scores any number of target sequences against them, and
`generate` writes. Sequences are lists of token ids; padding happens here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from qcrd import config
from qcrd.losses.likelihood import token_mean_cross_entropy
from qcrd.student.batches import length_groups, pad
from qcrd.student.pretrained import commit, pretrained, pretrained_tokenizer
from qcrd.tasks.arithmetic import vocabulary
from qcrd.teacher.tokenizer import word_level_tokenizer

PREDICT, EXPLAIN = "predict: ", "explain: "  # task prefixes of DSS, section 3.1
PREFIX_WORDS = ("predict", "explain", ":")  # their tokens, for a closed vocabulary


@dataclass(frozen=True, slots=True)
class Encoded:
    """Inputs as the decoder attends to them."""

    memory: Tensor  # [B, S, D]
    mask: Tensor  # [B, S] bool, True at real tokens


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

    def encode(self, inputs: Sequence[Sequence[int]]) -> Encoded:
        """Read B inputs."""
        ids, mask = pad(inputs, self.pad_id, self.device)
        with self.precision():
            memory = self.model.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return Encoded(memory, mask)

    def cross_entropy(self, encoded: Encoded, source: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """l(f(x), r) of R targets; short and long ones go through the decoder apart where that pays.

        Args:
            encoded: B inputs.
            source: [R] long, the input that each target answers.
            targets: R token sequences, each with its end-of-sequence token.

        Returns:
            [R] token-mean cross entropy in nats per token.
        """
        groups = length_groups([len(target) for target in targets])
        found = [
            self._cross_entropy(
                encoded, source[torch.tensor(rows, device=self.device)], [targets[r] for r in rows]
            )
            for rows in groups
        ]
        back = torch.tensor([r for rows in groups for r in rows], device=self.device).argsort()
        return torch.cat(found)[back]

    def _cross_entropy(self, encoded: Encoded, source: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        ids, mask = pad(targets, self.pad_id, self.device)
        shifted = torch.cat([ids.new_full((len(ids), 1), self.start_id), ids[:, :-1]], dim=1)
        with self.precision():
            hidden = self.model.decoder(
                input_ids=shifted,
                encoder_hidden_states=encoded.memory[source],
                encoder_attention_mask=encoded.mask[source].long(),
                use_cache=False,
            ).last_hidden_state
            logits = self._head(hidden[mask])
        row = torch.nonzero(mask)[:, 0]
        return token_mean_cross_entropy(logits, ids[mask], row, len(ids))

    @torch.no_grad()
    def generate(
        self,
        inputs: Sequence[Sequence[int]],
        limit: int,
        temperature: float = 0.0,
        generator: Generator | None = None,
        batch: int = 256,
    ) -> list[list[int]]:
        """One sequence for each input, without its end-of-sequence token.

        Args:
            inputs: token sequences.
            limit: most tokens per sequence.
            temperature: 0 decodes greedily, more samples.
            generator: on the student's device; what sampling draws from.
            batch: inputs decoded side by side.
        """
        was_training = self.training
        self.eval()
        order = sorted(range(len(inputs)), key=lambda i: len(inputs[i]))  # like lengths pad each other least
        outputs: list[list[int]] = [[] for _ in inputs]
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            found = self._decode([inputs[i] for i in rows], limit, temperature, generator)
            for i, tokens in zip(rows, found, strict=True):
                outputs[i] = tokens
        self.train(was_training)
        return outputs

    def _decode(
        self, inputs: Sequence[Sequence[int]], limit: int, temperature: float, generator: Generator | None
    ) -> list[list[int]]:
        encoded = self.encode(inputs)
        memory, mask = encoded.memory, encoded.mask.long()
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        written = torch.full((len(inputs), limit), self.eos_id, device=self.device)
        alive = torch.arange(len(inputs), device=self.device)
        ended = torch.zeros(len(inputs), dtype=torch.bool, device=self.device)
        last = torch.full((len(inputs), 1), self.start_id, device=self.device)
        for position in range(limit):
            with self.precision():
                hidden = self.model.decoder(
                    input_ids=last,
                    encoder_hidden_states=memory,
                    encoder_attention_mask=mask,
                    past_key_values=cache,
                    use_cache=True,
                ).last_hidden_state
                logits = self._head(hidden[:, -1]).float()
            if temperature > 0:
                token = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)
            else:
                token = logits.argmax(-1, keepdim=True)
            written[alive, position] = token[:, 0]
            ended |= token[:, 0] == self.eos_id  # a row still in the batch writes on, unread
            going = torch.nonzero(~ended).squeeze(1)
            if len(going) == 0:
                break
            last = token
            if len(going) <= 0.75 * len(alive):  # dropping finished rows costs a copy of the cache
                cache.batch_select_indices(going)
                memory, mask, last = memory[going], mask[going], last[going]
                alive, ended = alive[going], ended[going]
        return [_until(row, self.eos_id) for row in written.tolist()]

    def _head(self, hidden: Tensor) -> Tensor:
        return self.model.lm_head(hidden * self.scale)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer in the Hugging Face format."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Token ids of each text with the end-of-sequence token, at most `limit` in all."""
    if not texts:
        return []
    rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [[*row[: limit - 1], tokenizer.eos_token_id] for row in rows]


def token_counts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """How many tokens each text has uncut, with the end-of-sequence token."""
    if not texts:
        return []
    rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [len(row) + 1 for row in rows]


def load_tokenizer(section: config.Student) -> PreTrainedTokenizerBase:
    """The tokenizer that the settings name; the arithmetic task's word-level one where they name none."""
    if section.tokenizer is None and section.checkpoint is None:
        return word_level_tokenizer([*vocabulary(), *PREFIX_WORDS], append_eos=True)
    if section.tokenizer is not None:  # the revision is the checkpoint's
        return pretrained_tokenizer("student.tokenizer", section.tokenizer, None)
    return pretrained_tokenizer("student.checkpoint", section.checkpoint, section.revision)


def load_student(section: config.Student, seed: int, device: torch.device) -> Student:
    """A checkpoint's weights, or random ones from `seed`.

    Dropout is set from the settings because checkpoints differ in what they were pretrained with.

    Raises:
        ConfigError: where the checkpoint cannot be used; see `pretrained`.
    """
    found = commit(section.checkpoint, section.revision) if section.checkpoint is not None else None
    if found is not None:  # the weights and the tokenizer of one commit, whatever is pushed meanwhile
        section = section.model_copy(update={"revision": found})
    tokenizer = load_tokenizer(section)
    if section.checkpoint is not None:
        model = pretrained(
            "student.checkpoint",
            section.checkpoint,
            section.revision,
            "whole",
            tokenizer,
            dropout_rate=section.dropout,
        )
    else:
        shape = t5_config(section.architecture, tokenizer, section.dropout, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = T5ForConditionalGeneration(shape)
    return Student(model.to(device), tokenizer, section.precision == "bf16", found)


def t5_config(
    shape: config.Architecture, tokenizer: PreTrainedTokenizerBase, dropout: float, device: torch.device
) -> T5Config:
    """Configuration of a T5 of the given shape: gated GELU as in v1.1, tied and scaled head as in v1.0.

    transformers 5 ties a new T5's head to the embeddings whatever the configuration says (only a v1.1
    checkpoint, which holds both, comes with a head of its own). Without the scale a fresh student would
    begin at twice the loss of a uniform guess.
    """
    narrow = device.type == "cpu" and shape.d_kv < 32
    return T5Config(
        # Measured on 2 cores: with heads of 8 a step takes 0.83 of the time that the fused kernel takes.
        attn_implementation="eager" if narrow else "sdpa",
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


def _until(tokens: list[int], end: int) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
