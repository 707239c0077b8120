"""What every student can do, whatever its architecture.

Training, self-play, evaluation and selection use these calls alone. Sequences are lists of token ids.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import torch
from torch import Generator, Tensor, nn
from transformers import PreTrainedTokenizerBase

from qcrd.hub.token_ids import token_counts, tokenise
from qcrd.student.weights import Weights, set_weights, weights

Tokens: TypeAlias = list[int]

Kind = Literal["predict", "explain", "solve"]
"""What a question is read for: to answer with the label, with a rationale (DSS, section 3.1), or with
rationale and label in one sequence."""

TokenWeights = Sequence[Sequence[float] | None]
"""For each completion how much each of its tokens counts in its likelihood; None counts all alike."""


class Scored(Protocol):
    """The values of R completions, with what it takes to differentiate some of them."""

    values: Tensor
    """[R] nats per token, without gradient."""

    def differentiable(self, chosen: Sequence[int]) -> Tensor:
        """[C] the values of the chosen completions, with their gradient."""
        ...


class Student(nn.Module, ABC):
    """A model that reads questions and writes labels and rationales, with its tokenizer.

    Attributes:
        tokenizer: of prompts and completions.
        commit: the Hub's commit that the weights were loaded from; None for a folder or random ones.
    """

    tokenizer: PreTrainedTokenizerBase
    commit: str | None

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the weights are."""

    @abstractmethod
    def prompt(self, kind: Kind, question: str) -> str:
        """The text that the student reads, with what tells the kinds apart."""

    def prompts(self, kind: Kind, questions: Sequence[str], limit: int) -> list[Tokens]:
        """Token ids of each question's prompt, at most `limit`."""
        return tokenise(self.tokenizer, [self.prompt(kind, question) for question in questions], limit)

    def prompt_lengths(self, kind: Kind, questions: Sequence[str]) -> list[int]:
        """Number of tokens of each question's prompt before it is cut."""
        return token_counts(self.tokenizer, [self.prompt(kind, question) for question in questions])

    def completions(self, texts: Sequence[str], limit: int) -> list[Tokens]:
        """Token ids of each text with the end-of-sequence token, at most `limit` in all."""
        return tokenise(self.tokenizer, texts, limit)

    def text(self, tokens: Sequence[int]) -> str:
        """Text of one generated completion, without special tokens."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()

    @abstractmethod
    def read(self, prompts: Sequence[Sequence[int]]) -> Any:
        """Read B prompts, once for all completions that answer them; `cross_entropy` and `score` take it."""

    @abstractmethod
    def cross_entropy(
        self,
        prompts: Any,
        source: Sequence[int],
        completions: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> Tensor:
        """l(f(x), r) of R completions.

        Args:
            prompts: B of them, as `read` returns them.
            source: for each completion the number of the prompt that it answers.
            completions: token sequences, each with its end-of-sequence token.
            weights: of the completions' tokens, none negative; None counts all alike.

        Returns:
            [R] token-mean cross entropy in nats per token. With weights w it is sum w l / sum w, and 0 where
            all weights of a completion are 0.
        """

    @abstractmethod
    def score(
        self,
        prompts: Any,
        source: Sequence[int],
        completions: Sequence[Sequence[int]],
        weights: TokenWeights | None = None,
    ) -> Scored:
        """As `cross_entropy`, without gradient, so that some of them can be differentiated afterwards.

        Both passes have the same dropout masks.
        """

    @abstractmethod
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
        """Completions without their end-of-sequence token, `draws` for each prompt one after the other.

        Args:
            prompts: token sequences.
            limit: most tokens per completion, for all or for each.
            temperature: 0 decodes greedily, more samples.
            generator: on the student's device; what sampling draws from.
            draws: completions per prompt.
            batch: completions written side by side.
            top_k: sampling draws among so many of the likeliest tokens; None is all.
            top_p: and among those that together have this share of their probability; 1 is all.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer in the Hugging Face format."""

    def weights(self) -> Weights:
        """Copies of all that training changes, on the CPU: for snapshots and checkpoints."""
        return weights(self)

    def set_weights(self, values: Weights) -> None:
        """Write what `weights` returned."""
        set_weights(self, values)

    @contextmanager
    def carrying(self, values: Weights) -> Iterator[None]:
        """Have other weights for a while, in place; nothing may be differentiated meanwhile."""
        own = self.weights()
        self.set_weights(values)
        try:
            yield
        finally:
            self.set_weights(own)
