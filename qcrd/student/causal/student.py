"""Decoder-only models as students: packed tokens, each prompt read once, whole or with an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from transformers import PreTrainedModel

from qcrd.student.base import Kind, Student, Tokens, TokenWeights
from qcrd.student.causal.adapter import adapter_off, base_alone, load_adapter, merged, save_adapter
from qcrd.student.causal.decoding import Sampling, Writer
from qcrd.student.causal.forward import RECORDED, Completions, Likelihood, Scored
from qcrd.student.causal.prompts import Prompts
from qcrd.student.weights import Weights


@dataclass(frozen=True, slots=True)
class Read:
    """B prompts; they go through the model with their completions."""

    prompts: Sequence[Sequence[int]]


class CausalStudent(Student):
    """A decoder-only model of any family that `families` loads.

    Attributes:
        bf16: whether it computes under bf16 autocast.
        eos_id: token that ends a completion; a chat template's end of turn is one.
        cut: tokens of questions that `prompts` has cut so far, and questions that lost some.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Prompts,
        bf16: bool,
        commit: str | None = None,
        adapted: nn.Module | None = None,
        max_tokens: int | None = None,
        recorded: int = RECORDED,
    ):
        """Wrap a model.

        Args:
            model: from `families`, with an adapter's modules where there is one.
            prompts: how it is asked.
            bf16: whether to compute under bf16 autocast.
            commit: that the weights are of.
            adapted: what `adapter.adapt` returned; None trains all weights.
            max_tokens: tokens per forward and backward pass; results do not depend on it.
            recorded: bytes of linear layers' outputs that `score` may keep.
        """
        super().__init__()
        self.commit = commit
        self.model = model
        self.tokenizer = prompts.tokenizer
        self.eos_id = prompts.end
        self.cut = {"tokens": 0, "questions": 0}
        self._prompts, self.bf16 = prompts, bf16
        self._adapted = (adapted,)  # no module of its own: its weights are the model's
        self._likelihood = Likelihood(model, bf16, max_tokens, recorded)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def prompt(self, kind: Kind, question: str) -> str:
        """The text before the completion."""
        return self._prompts.text(kind, question)

    def prompts(self, kind: Kind, questions: Sequence[str], limit: int) -> list[Tokens]:
        """Token ids of each question's prompt, at most `limit`; what is cut is the question's."""
        rows, cut = self._prompts.tokens(kind, questions, limit)
        self.cut["tokens"] += sum(cut)
        self.cut["questions"] += sum(lost > 0 for lost in cut)
        return rows

    def prompt_lengths(self, kind: Kind, questions: Sequence[str]) -> list[int]:
        """Number of tokens of each question's prompt before it is cut."""
        return self._prompts.lengths(kind, questions)

    def completions(self, texts: Sequence[str], limit: int) -> list[Tokens]:
        """Token ids of each text with the end token, at most `limit` in all."""
        return self._prompts.completions(texts, limit)

    def read(self, prompts: Sequence[Sequence[int]]) -> Read:
        """See `Student.read`; nothing is computed before the completions are known."""
        return Read(prompts)

    def cross_entropy(
        self,
        prompts: Read,
        source: Sequence[int],
        completions: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> Tensor:
        """See `Student.cross_entropy`."""
        return self._likelihood.cross_entropy(_behind(prompts, source, completions, weights))

    def score(
        self,
        prompts: Read,
        source: Sequence[int],
        completions: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> Scored:
        """See `Student.score`."""
        return self._likelihood.score(_behind(prompts, source, completions, weights))

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
    ) -> list[Tokens]:
        """See `Student.generate`."""
        was_training = self.training
        self.eval()
        ends = [self.eos_id]
        if self.tokenizer.eos_token_id not in (None, self.eos_id):
            ends.append(self.tokenizer.eos_token_id)
        sampling = Sampling(temperature, top_k, top_p)
        writer = Writer(self.model, ends, sampling, generator, self.bf16)
        written: list[list[int]] = writer.write(prompts, limit, draws, batch)
        self.train(was_training)
        return written

    def weights(self) -> Weights:
        """Copies of all that training changes, on the CPU; with an adapter that is the adapter alone."""
        named = self._trained()
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in named.items()}

    def set_weights(self, values: Weights) -> None:
        """Write what `weights` returned.

        Raises:
            ValueError: where the names differ.
        """
        own = self._trained()
        if own.keys() != values.keys():
            raise ValueError(f"weights of another model: {sorted(own.keys() ^ values.keys())[:4]} differ")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(values[name])

    def without_adapter(self) -> AbstractContextManager[None]:
        """For a while the model that the adapter was put into; nothing may be trained meanwhile."""
        return adapter_off(self.model)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and tokenizer; with an adapter the adapter alone, in peft's format."""
        (adapted,) = self._adapted
        if adapted is None:
            self.model.save_pretrained(folder)
        else:
            save_adapter(adapted, folder, self.commit)
        self.tokenizer.save_pretrained(folder)

    def save_whole(self, folder: Path) -> None:
        """Write all weights and the tokenizer; an adapter's products are added to the base weights."""
        (adapted,) = self._adapted
        (self.model if adapted is None else merged(adapted)).save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def save_base(self, folder: Path) -> None:
        """Write the weights that an adapter is used with.

        Raises:
            ValueError: without an adapter.
        """
        (adapted,) = self._adapted
        if adapted is None:
            raise ValueError("the student has no adapter, so that it has no base beside it")
        base_alone(adapted).save_pretrained(folder)

    def load_adapter(self, folder: Path) -> None:
        """Take the adapter's weights from a folder that `save` wrote."""
        load_adapter(self._adapted[0], folder)

    def _trained(self) -> dict[str, Tensor]:
        if self._adapted[0] is not None:
            return {name: tensor for name, tensor in self.named_parameters() if tensor.requires_grad}
        return dict((*self.named_parameters(), *self.named_buffers()))


def _behind(
    prompts: Read,
    source: Sequence[int],
    completions: Sequence[Sequence[int]],
    weights: TokenWeights | None,
) -> Completions:
    return Completions([prompts.prompts[number] for number in source], completions, weights)
