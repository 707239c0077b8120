"""How unlikely a causal model finds completions: token means of the cross entropy, each prompt read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from qcrd.losses.likelihood import row_means, token_cross_entropy
from qcrd.student import flops
from qcrd.student.causal.attention import PackedAttention
from qcrd.student.causal.head import Head
from qcrd.student.causal.packing import Layout, Tokens, common_prefix, share_prefixes
from qcrd.student.causal.replay import Plain, Recorder, Replay, Way
from qcrd.student.device import to_device

RECORDED = 4 * 2**30  # bytes of linear layers' outputs that may be kept; beyond that they are computed again

TokenWeights = Sequence[Sequence[float] | None]
"""For each completion how much each of its tokens counts in its likelihood; None is all alike."""


@dataclass(frozen=True, slots=True)
class Completions:
    """R token sequences, each behind a prompt."""

    prompts: Sequence[Tokens]  # R of them, none empty; equal ones are read once
    rows: Sequence[Tokens]  # R of them, each with its end token, none empty
    weights: TokenWeights | None = None

    def some(self, chosen: Sequence[int]) -> Completions:
        """Those with these numbers."""
        weights = self.weights
        return Completions(
            [self.prompts[n] for n in chosen],
            [self.rows[n] for n in chosen],
            None if weights is None else [weights[n] for n in chosen],
        )


class Packed:
    """Completions in packed form.

    Attributes:
        layout: of the N tokens that the model reads; a completion's last token is only predicted.
        read: [M] long, packed number of the token behind which each counted token is predicted.
        ids: [M] long, the tokens that count.
        row: [M] long, the completion that each belongs to.
        weights: [M] how much each counts; None is all alike.
        leaves: for each completion the segment that its prompt ends with and its own, None where it has one
            token alone.
    """

    def __init__(self, completions: Completions, device: torch.device):
        forest, ends = share_prefixes(completions.prompts)
        self.forest, self.rows = forest, len(completions.rows)
        self.leaves: list[tuple[int, int | None]] = []
        for end, row in zip(ends, completions.rows, strict=True):
            if not len(row):
                raise ValueError("a completion without tokens; it needs at least its end token")
            self.leaves.append((end, forest.add(row[:-1], end) if len(row) > 1 else None))
        self.layout = Layout.of(forest, device)
        begin = self.layout.begin
        read, ids, rows, weights = [], [], [], []
        for number, ((end, own), row) in enumerate(zip(self.leaves, completions.rows, strict=True)):
            behind = [begin[end + 1] - 1, *(range(begin[own], begin[own + 1]) if own is not None else ())]
            counted = _counted(completions.weights, number, row)
            for place, token, weight in zip(behind, row, counted, strict=True):
                if weight:
                    read.append(place)
                    ids.append(token)
                    rows.append(number)
                    weights.append(weight)
        self.read, self.ids, self.row = (to_device(values, device) for values in (read, ids, rows))
        self.weights = None
        if completions.weights is not None:
            self.weights = to_device(weights, device, torch.float32)

    def __len__(self) -> int:
        return len(self.layout.ids)

    def path(self, number: int) -> list[int]:
        """Packed numbers of all tokens that are read for a completion, its prompt's first."""
        end, own = self.leaves[number]
        begin = self.layout.begin
        segments = self.forest.path(end if own is None else own)
        return [t for n in segments for t in range(begin[n], begin[n + 1])]

    def numbers_of(self, some: Packed, chosen: Sequence[int]) -> list[int]:
        """For each token of `some`, which packs the `chosen` completions, its packed number here."""
        numbers = [0] * len(some)
        for new, old in enumerate(chosen):
            for there, here in zip(some.path(new), self.path(old), strict=True):
                numbers[there] = here
        return numbers


def _counted(weights: TokenWeights | None, number: int, row: Tokens) -> Sequence[float]:
    values = weights[number] if weights is not None else None
    if values is None:
        return [1.0] * len(row)
    if len(values) != len(row):
        raise ValueError(f"{len(values)} weights for a completion of {len(row)} tokens")
    return values


def hidden_states(model: PreTrainedModel, layout: Layout, way: Way) -> Tensor:
    """[N, D] what the head reads, of all tokens of a layout.

    Raises:
        NotImplementedError: where a layer does not call the attention that it was given.
    """
    attend = PackedAttention(layout, way)
    with way:
        states = model.base_model(
            input_ids=layout.ids[None],
            position_ids=layout.positions[None],
            # A mask of four dimensions is handed on as it is; the packed attention has its own.
            attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=layout.ids.device),
            use_cache=False,
            packed=attend,
        ).last_hidden_state[0]
    if attend.calls != model.config.num_hidden_layers:
        raise NotImplementedError(f"{model.config.num_hidden_layers} layers, {attend.calls} attentions")
    return states


class Likelihood:
    """l(r | x) of completions under a model with its weights as they are when it is called."""

    def __init__(
        self, model: PreTrainedModel, bf16: bool, max_tokens: int | None = None, recorded: int = RECORDED
    ):
        """Prepare for a model from `families`.

        Args:
            model: whose attention is the packed one.
            bf16: whether to compute under bf16 autocast.
            max_tokens: tokens per forward and backward pass; None is all in one. Results do not depend on it.
            recorded: bytes of linear layers' outputs that `score` may keep.
        """
        self.model, self.bf16, self.max_tokens, self.recorded = model, bf16, max_tokens, recorded
        self.head = Head.of(model)
        self._linear = [m for m in model.base_model.modules() if isinstance(m, nn.Linear)]
        self.weights = sum(m.weight.numel() for m in self._linear)
        self.outputs = sum(len(m.weight) for m in self._linear)  # numbers that linear layers give per token
        # Weights of linear layers by whether they, and whether their inputs, get a gradient; None: not known
        self._kinds: Counter[tuple[bool, bool]] | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def cross_entropy(self, completions: Completions) -> Tensor:
        """[R] token-mean cross entropy in nats per token; with weights w it is sum w l / sum w.

        0 where all of a completion's weights are 0. With a gradient and more tokens than `max_tokens`, the
        backward pass runs part by part and adds to the parameters' `grad`, so it has to be started with
        `backward()`.
        """
        parts = micro_batches(completions, self.max_tokens)
        if torch.is_grad_enabled() and len(parts) > 1:
            return self.score(completions).differentiable(range(len(completions.rows)))
        values = [self.means(Packed(completions.some(part), self.device), Plain()) for part in parts]
        return _in_order(values, parts)

    def score(self, completions: Completions) -> Scored:
        """The same without gradient, in a way that lets some of them be differentiated afterwards."""
        return Scored(self, completions)

    def means(self, packed: Packed, way: Way) -> Tensor:
        """[R] as `cross_entropy`, in one pass."""
        with torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext():
            with self._noting():
                hidden = hidden_states(self.model, packed.layout, way).index_select(0, packed.read)
            nats = token_cross_entropy(*self.head.inputs(hidden), packed.ids)
        self._count(packed, way)
        return row_means(nats, packed.row, packed.rows, packed.weights)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """In the first pass with a gradient, note which layers' inputs get one."""
        if self._kinds is not None or not torch.is_grad_enabled():
            yield
            return
        kinds: Counter[tuple[bool, bool]] = Counter()

        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kinds[module.weight.requires_grad, inputs[0].requires_grad] += module.weight.numel()

        hooks = [module.register_forward_pre_hook(note) for module in self._linear]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        self._kinds = kinds

    def _count(self, packed: Packed, way: Way) -> None:
        """Count what a pass computes."""
        kinds = self._kinds if torch.is_grad_enabled() else None
        for (trained, reached), weights in (kinds or {(True, True): self.weights}).items():
            flops.count(weights, len(packed), known=way.known, frozen=not trained, leaf=not reached)
        frozen_head = not self.head.weight.requires_grad
        flops.count(self.head.weight.numel(), len(packed.read), frozen=frozen_head)
        if self.model.is_gradient_checkpointing and self.model.training and torch.is_grad_enabled():
            with torch.no_grad():  # the backward pass runs the layers forwards once more
                flops.count(self.weights, len(packed))


class Scored:
    """Token-mean cross entropy of R completions, with what it takes to differentiate some of them.

    Attributes:
        values: [R] nats per token, without gradient; with dropout where the model is in training.
    """

    def __init__(self, likelihood: Likelihood, completions: Completions):
        """Score them."""
        self._likelihood, self._completions = likelihood, completions
        self._parts = micro_batches(completions, likelihood.max_tokens)
        self._packed = [Packed(completions.some(part), likelihood.device) for part in self._parts]
        self._first: list[Recorder] = []
        room, values = likelihood.recorded, []
        for packed in self._packed:
            size = len(packed) * likelihood.outputs * (2 if likelihood.bf16 else 4)
            self._first.append(Recorder(len(packed), keep=size <= room))
            room -= size if size <= room else 0
            with torch.no_grad():
                values.append(likelihood.means(packed, self._first[-1]))
        self.values = _in_order(values, self._parts)

    def differentiable(self, chosen: Sequence[int]) -> Tensor:
        """The values of the chosen completions, with the gradient that they have.

        The gradient is that of a pass with the same dropout masks as the values had.
        """
        if len(self._parts) == 1:
            place = {number: n for n, number in enumerate(self._parts[0])}
            return self._again(0, [place[number] for number in chosen])
        anchor = torch.zeros((), device=self.values.device, requires_grad=True)
        return _PartByPart.apply(anchor, self, tuple(chosen))

    def _again(self, part: int, chosen: Sequence[int]) -> Tensor:
        """Values of completions with these numbers within a part, with gradient."""
        full, device = self._packed[part], self._likelihood.device
        numbers = [self._parts[part][n] for n in chosen]
        some = Packed(self._completions.some(numbers), device)
        replay = Replay(self._first[part], to_device(full.numbers_of(some, chosen), device))
        return self._likelihood.means(some, replay)


class _PartByPart(torch.autograd.Function):
    """Chosen values; the backward pass runs each part forwards and backwards, so that one is in memory."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, scored: Scored, chosen: tuple[int, ...]) -> Tensor:
        ctx.scored, ctx.chosen = scored, chosen
        return scored.values[to_device(chosen, scored.values.device)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        for part, numbers in enumerate(ctx.scored._parts):
            inside = {number: place for place, number in enumerate(numbers)}
            places = [place for place, number in enumerate(ctx.chosen) if number in inside]
            if places:
                with torch.enable_grad():
                    values = ctx.scored._again(part, [inside[ctx.chosen[place]] for place in places])
                torch.autograd.backward(values, grad[to_device(places, grad.device)])
        return None, None, None


def micro_batches(completions: Completions, max_tokens: int | None) -> list[list[int]]:
    """Numbers of completions that go through the model together, those of one prompt side by side.

    A part has at most `max_tokens` tokens, or a single completion.
    """
    numbers = range(len(completions.rows))
    if max_tokens is None:
        return [list(numbers)]
    order = sorted(numbers, key=lambda n: tuple(completions.prompts[n]))
    parts: list[list[int]] = []
    size = 0
    before: Tokens = ()
    for number in order:
        prompt, own = completions.prompts[number], len(completions.rows[number]) - 1
        new = len(prompt) - common_prefix(before, prompt)
        if not parts or size + new + own > max_tokens:
            parts.append([])
            size, new = 0, len(prompt)
        parts[-1].append(number)
        size += new + own
        before = prompt
    return parts


def _in_order(values: Sequence[Tensor], parts: Sequence[Sequence[int]]) -> Tensor:
    """Values of the parts -> [R] by number."""
    order = list(chain.from_iterable(parts))
    if order == sorted(order):
        return torch.cat(list(values))
    place = to_device(order, values[0].device)
    return torch.cat(list(values)).index_select(0, torch.argsort(place))
