"""Writing completions with a fixed causal model: for self-play and for evaluation.

Completions are written side by side in slots over one cache of keys and values. A slot whose completion has
ended takes the next prompt, so that no step waits for the longest completion of a batch; each slot is at a
position of its own. A prompt that several completions answer is read once, and so is a long common prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import linear, pad, scaled_dot_product_attention
from transformers import PreTrainedModel

from qcrd.student import flops
from qcrd.student.causal.attention import Attend, PackedAttention
from qcrd.student.causal.head import Head
from qcrd.student.causal.packing import Layout, Tokens, share_prefixes
from qcrd.student.causal.replay import Plain
from qcrd.student.device import to_device
from qcrd.student.sampling import draw

ROOM = 32  # positions behind the longest prompt that the cache has room for at first
MEMORY = 4 * 2**30  # bytes that the cache may take
FREE = 0.125  # share of the slots that must be free before others move in: prompts are read together
GONE = 0.25  # share of the slots that must be free at the end before the rest is moved together


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is drawn."""

    temperature: float = 0.0  # 0 takes the likeliest
    top_k: int | None = None  # draw among so many of the likeliest; None is all
    top_p: float = 1.0  # and among those that together have this share of their probability


@dataclass(slots=True)
class _Slots:
    """n completions that are being written."""

    job: Tensor  # [n] long: place among all completions
    last: Tensor  # [n] long: token to be read next
    position: Tensor  # [n] long: where it stands in its sequence
    written: Tensor  # [n] long: tokens written so far
    limit: Tensor  # [n] long: tokens at most
    live: Tensor  # [n] bool: still writing

    def names(self) -> tuple[str, ...]:
        return tuple(self.__dataclass_fields__)

    def keep(self, rows: Tensor) -> None:
        """Drop all other slots."""
        for name in self.names():
            setattr(self, name, getattr(self, name)[rows])


@dataclass(slots=True)
class Cache:
    """Keys and values of n slots, for each layer in the order of its call [n, G, room, d]; an `Attend`."""

    size: int
    room: int
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    layer: int = 0  # that is called next
    position: Tensor = field(default_factory=lambda: torch.empty(0))  # [n] long: of the tokens that are read
    visible: Tensor = field(default_factory=lambda: torch.empty(0))  # [n, seen] bool
    distance: Tensor = field(default_factory=lambda: torch.empty(0))  # [n, seen] long

    def read_at(self, position: Tensor) -> None:
        """Set the positions of the tokens that the next forward pass reads, one for each slot."""
        seen = int(position.max()) + 1
        if seen > self.room:
            more = max(seen, 2 * self.room) - self.room
            self.room += more
            for tensors in (self.keys, self.values):
                tensors[:] = [pad(tensor, (0, 0, 0, more)) for tensor in tensors]
        self.position, self.layer = position, 0
        self.distance = position[:, None] - torch.arange(seen, device=position.device)
        self.visible = self.distance >= 0

    def layers(self, key: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, made where this is its first call; `key` [..., G, d] is one of its."""
        if layer == len(self.keys):
            shape = self.size, key.shape[-2], self.room, key.shape[-1]
            self.keys.append(key.new_zeros(shape))
            self.values.append(key.new_zeros(shape))
        return self.keys[layer], self.values[layer]

    def fill(self, rows: Tensor, tokens: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Write prompts into slots.

        Args:
            rows: [c] long, the slots.
            tokens: [c, P] long, packed numbers of each prompt's tokens, padded.
            pairs: of each layer, [N, G, d] keys and values of the packed tokens.
        """
        for layer, pair in enumerate(pairs):
            for cache, packed in zip(self.layers(pair[0], layer), pair, strict=True):
                cache[rows, :, : tokens.shape[1]] = packed[tokens].transpose(1, 2)

    def keep(self, rows: Tensor) -> None:
        """Drop all other slots."""
        self.size = len(rows)
        for tensors in (self.keys, self.values):
            tensors[:] = [tensor[rows] for tensor in tensors]

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        dropout: float,
        softcap: float | None,
        window: int | None,
    ) -> Tensor:
        """See `Attend`; one token of each slot attends to those before it."""
        keys, values = self.layers(key, self.layer)
        self.layer += 1
        rows = torch.arange(len(query), device=query.device)
        keys[rows, :, self.position] = key
        values[rows, :, self.position] = value
        seen = self.visible.shape[1]
        visible = self.visible if window is None else self.visible & (self.distance < window)
        keys, values = keys[:, :, :seen], values[:, :, :seen]
        if softcap is None:
            return scaled_dot_product_attention(
                query[:, :, None], keys, values, visible[:, None, None], scale=scaling, enable_gqa=True
            ).flatten(1)
        grouped = query.unflatten(1, (keys.shape[1], -1))
        products = torch.tanh(grouped @ keys.transpose(2, 3) * scaling / softcap) * softcap
        products = products.masked_fill(~visible[:, None, None], -torch.inf)
        return (torch.softmax(products, -1, dtype=torch.float32).to(values.dtype) @ values).flatten(1)


class _Reading(PackedAttention):
    """Packed attention that keeps every layer's keys and values."""

    def __init__(self, layout: Layout):
        super().__init__(layout, Plain())
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        dropout: float,
        softcap: float | None,
        window: int | None,
    ) -> Tensor:
        """See `Attend`."""
        self.pairs.append((key, value))
        return super().__call__(module, query, key, value, scaling, dropout, softcap, window)


class Writer:
    """A causal model that writes, with its weights as they are now and without dropout."""

    def __init__(
        self,
        model: PreTrainedModel,
        ends: Sequence[int],
        sampling: Sampling,
        generator: Generator | None = None,
        bf16: bool = False,
    ):
        """Prepare for a model in evaluation mode.

        Args:
            model: from `families`.
            ends: tokens that end a completion.
            sampling: how tokens are drawn.
            generator: on the model's device; what sampling draws from.
            bf16: whether to compute under bf16 autocast.
        """
        self.model, self.sampling, self.generator, self.bf16 = model, sampling, generator, bf16
        self.device = model.device
        self.ends = to_device(list(ends), self.device)
        self.head = Head.of(model)
        self.weights = sum(m.weight.numel() for m in model.base_model.modules() if isinstance(m, nn.Linear))

    @torch.no_grad()
    def write(
        self, prompts: Sequence[Tokens], limit: int | Sequence[int], draws: int = 1, batch: int = 256
    ) -> list[list[int]]:
        """Completions without their end token, `draws` for each prompt one after the other.

        Args:
            prompts: token sequences, none empty.
            limit: most tokens per completion, for all or for each.
            draws: completions per prompt.
            batch: completions written side by side.
        """
        jobs = len(prompts) * draws
        limits = [limit] * jobs if isinstance(limit, int) else list(limit)
        completions: list[list[int]] = [[] for _ in range(jobs)]
        # Those that take longest first; equal prompts stay together, so that each is read once.
        queue = sorted(
            (j for j in range(jobs) if limits[j] > 0), key=lambda j: (-len(prompts[j // draws]), j)
        )
        if not queue:
            return completions
        longest = max(len(prompts[j // draws]) for j in queue)
        size = min(batch, len(queue), self._fit(longest + max(limits)))
        cache = Cache(size, longest + min(ROOM, max(limits)))
        slots = self._open(
            cache, torch.arange(size, device=self.device), prompts, draws, limits, queue[:size]
        )
        queue = queue[size:]
        written = torch.full((jobs, max(limits)), int(self.ends[0]), device=self.device)
        while True:
            token = self._step(cache, slots)
            live = slots.live
            written[slots.job[live], slots.written[live]] = token[live]
            slots.last = token
            slots.written = slots.written + live
            slots.live = live & ~torch.isin(token, self.ends) & (slots.written < slots.limit)
            slots.position = (
                slots.position + 1
            ) * slots.live  # what has ended stays within the cache, unread
            free = torch.nonzero(~slots.live).squeeze(1)
            if queue and len(free) >= max(1, FREE * size):
                come, rows = queue[: len(free)], free[: len(queue)]
                queue = queue[len(come) :]
                new = self._open(cache, rows, prompts, draws, limits, come)
                for name in slots.names():
                    getattr(slots, name)[rows] = getattr(new, name)
            elif len(free) == len(slots.live):
                break
            elif not queue and len(free) >= GONE * len(slots.live):
                rows = torch.nonzero(slots.live).squeeze(1)
                slots.keep(rows)
                cache.keep(rows)
        ends = set(self.ends.tolist())
        for job, row in enumerate(written.tolist()):
            row = row[: limits[job]]
            end = next((n for n, token in enumerate(row) if token in ends), len(row))
            completions[job] = row[:end]
        return completions

    def _fit(self, tokens: int) -> int:
        """Slots that sequences of at most so many tokens leave room for, at least 1."""
        shape = self.model.config
        heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
        width = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
        each: int = 2 * shape.num_hidden_layers * heads * width * (2 if self.bf16 else 4)
        return max(1, MEMORY // (each * tokens))

    def _open(
        self,
        cache: Cache,
        rows: Tensor,
        prompts: Sequence[Tokens],
        draws: int,
        limits: Sequence[int],
        jobs: Sequence[int],
    ) -> _Slots:
        """Slots at the last token of their prompts, the tokens before it in the cache."""
        asked = [prompts[j // draws] for j in jobs]
        before = [row[:-1] for row in asked]
        if longest := max(map(len, before)):
            forest, ends = share_prefixes([row for row in before if len(row)])
            layout = Layout.of(forest, self.device)
            reading = _Reading(layout)
            flops.count(self.weights, len(layout.ids))
            self._hidden(layout.ids, layout.positions, reading)
            segments, begin = iter(ends), layout.begin
            paths: dict[int, list[int]] = {}
            tokens = []
            for row in before:
                path: list[int] = []
                if len(row):
                    end = next(segments)
                    if end not in paths:
                        numbers = (range(begin[n], begin[n + 1]) for n in forest.path(end))
                        paths[end] = [t for tokens_ in numbers for t in tokens_]
                    path = paths[end]
                tokens.append([*path, *[0] * (longest - len(path))])
            cache.fill(rows, to_device(tokens, self.device), reading.pairs)
        size = len(jobs)
        return _Slots(
            to_device(list(jobs), self.device),
            to_device([row[-1] for row in asked], self.device),
            to_device([len(row) for row in before], self.device),
            torch.zeros(size, dtype=torch.long, device=self.device),
            to_device([limits[j] for j in jobs], self.device),
            torch.ones(size, dtype=torch.bool, device=self.device),
        )

    def _hidden(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """[N] packed tokens -> [N, D] states."""
        with self._precision():
            return self.model.base_model(
                input_ids=ids[None],
                position_ids=positions[None],
                attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=self.device),
                use_cache=False,
                packed=attend,
            ).last_hidden_state[0]

    def _step(self, cache: Cache, slots: _Slots) -> Tensor:
        """[n] the next token of each slot."""
        flops.count(self.weights + self.head.weight.numel(), len(slots.job))
        cache.read_at(slots.position)
        hidden = self._hidden(slots.last, slots.position, cache)
        with self._precision():
            logits = linear(hidden, self.head.weight, self.head.bias).float() * self.head.scale
        sampling = self.sampling
        if sampling.temperature > 0:
            return draw(logits / sampling.temperature, self.generator, sampling.top_k, sampling.top_p)
        return logits.argmax(-1)

    def _precision(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()
