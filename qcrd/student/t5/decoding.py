"""Writing sequences with a fixed student: for self-play and for evaluation.

Sequences are written side by side in slots. A slot whose sequence has ended takes the next input, so that no
step waits for the longest sequence of a batch; each slot is at a position of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import embedding, linear, pad, rms_norm

from qcrd.student import flops
from qcrd.student.sampling import draw
from qcrd.student.t5.forward import FeedForward, Memory, Stack, buckets

ROOM = 32  # positions that the cache of keys and values has room for at first
MEMORY = 4 * 2**30  # bytes that the inputs of all slots may take
FREE = 0.125  # share of the slots that must be free before others move in: inputs are encoded together
GONE = 0.25  # share of the slots that must be free at the end before the rest is moved together


@dataclass(frozen=True, slots=True)
class _Layer:
    """A decoder layer's weights in the type that is computed in; those that read the same are one."""

    own_norm: Tensor
    qkv: Tensor
    o: Tensor
    cross_norm: Tensor
    cross_q: Tensor
    cross_o: Tensor
    dense: FeedForward


@dataclass(slots=True)
class _Slots:
    """n sequences that are being written."""

    job: Tensor  # [n] long: place among all sequences
    last: Tensor  # [n] long: token before the one to be written
    position: Tensor  # [n] long: of the one to be written
    limit: Tensor  # [n] long: tokens at most
    live: Tensor  # [n] bool: still writing
    keys: list[Tensor]  # of each layer, [n, H, room, d]; what a slot's last sequence left is not seen
    values: list[Tensor]
    memory: Memory  # of the inputs; n of them

    def keep(self, rows: Tensor) -> None:
        """Drop all other slots."""
        for name in ("job", "last", "position", "limit", "live"):
            setattr(self, name, getattr(self, name)[rows])
        for cache in (self.keys, self.values):
            cache[:] = [tensor[rows] for tensor in cache]
        pairs = [(keys[rows], values[rows]) for keys, values in self.memory.keys_values]
        self.memory = Memory(pairs, self.memory.bias[rows])

    def grow(self, room: int) -> None:
        """Make room for more positions."""
        for cache in (self.keys, self.values):
            cache[:] = [pad(tensor, (0, 0, 0, room - tensor.shape[2])) for tensor in cache]


@dataclass(frozen=True, slots=True)
class Head:
    """What turns the decoder's states into tokens."""

    weight: Tensor  # [V, d]
    scale: float  # of the states before it
    start_id: int  # what the decoder reads first
    eos_id: int


class Writer:
    """A student's decoder with its weights as they are now."""

    def __init__(
        self,
        stack: Stack,
        head: Head,
        read: Callable[[Sequence[Sequence[int]]], Memory],
        dtype: torch.dtype,
        temperature: float,
        generator: Generator | None,
        top_k: int | None = None,
        top_p: float = 1.0,
    ):
        """See `Student.generate`.

        Args:
            stack: the decoder.
            head: behind it.
            read: encodes prompts.
            dtype: what linear layers compute in.
            temperature: 0 decodes greedily.
            generator: what sampling draws from.
            top_k: of the likeliest tokens; None is all.
            top_p: share of the probability; 1 is all.
        """
        self.stack, self.read = stack, read
        self.scale, self.start_id, self.eos_id = head.scale, head.start_id, head.eos_id
        self.temperature, self.generator = temperature, generator
        self.top_k, self.top_p = top_k, top_p
        self.dtype = dtype

        def cast(*weights: Tensor) -> Tensor:
            return (
                torch.cat([w.detach().to(dtype) for w in weights])
                if len(weights) > 1
                else weights[0].to(dtype)
            )

        self.layers = [
            _Layer(
                block.own.norm,
                cast(block.own.q, block.own.k, block.own.v),
                cast(block.own.o),
                block.crossing.norm,
                cast(block.crossing.q),
                cast(block.crossing.o),
                FeedForward(
                    block.feed_forward.norm,
                    (cast(*block.feed_forward.inner),),
                    cast(block.feed_forward.outer),
                ),
            )
            for block in self.stack.blocks
        ]
        self.head = cast(head.weight)

    @torch.no_grad()
    def write(
        self, inputs: Sequence[Sequence[int]], limit: int | Sequence[int], draws: int, batch: int
    ) -> list[list[int]]:
        """See `Student.generate`."""
        jobs = len(inputs) * draws
        limits = [limit] * jobs if isinstance(limit, int) else list(limit)
        found: list[list[int]] = [[] for _ in range(jobs)]
        # The longest inputs first, so that those which move in later fit.
        queue = sorted((j for j in range(jobs) if limits[j] > 0), key=lambda j: -len(inputs[j // draws]))
        if not queue:
            return found
        size = min(batch, len(queue), self._fit(max(len(inputs[j // draws]) for j in queue)))
        slots = self._open(inputs, draws, limits, queue[:size])
        slots.keys, slots.values = self._caches(slots, min(ROOM, max(limits)))
        queue = queue[size:]
        written = torch.full((jobs, max(limits)), self.eos_id, device=self.head.device)
        biases = self._biases(max(limits))
        while True:
            token = self._step(slots, biases)
            written[slots.job[slots.live], slots.position[slots.live]] = token[slots.live]
            slots.last = token
            slots.position = slots.position + slots.live
            slots.live = slots.live & (token != self.eos_id) & (slots.position < slots.limit)
            slots.position = slots.position * slots.live  # what has ended stays within the tables, unread
            free = torch.nonzero(~slots.live).squeeze(1)
            if queue and len(free) >= max(1, FREE * size):
                come = queue[: len(free)]
                queue = queue[len(come) :]
                self._move_in(slots, free[: len(come)], self._open(inputs, draws, limits, come))
            elif len(free) == len(slots.live):
                break
            elif not queue and len(free) >= GONE * len(slots.live):
                slots.keep(torch.nonzero(slots.live).squeeze(1))
        for job, row in enumerate(written.tolist()):
            row = row[: limits[job]]
            found[job] = row[: row.index(self.eos_id)] if self.eos_id in row else row
        return found

    def _fit(self, longest: int) -> int:
        """Slots that inputs of at most so many tokens leave room for, at least 1."""
        stack, wide = self.stack, torch.finfo(self.dtype).bits // 8
        memory: int = 2 * len(self.layers) * len(self.layers[0].cross_q) * longest * wide
        attention: int = 3 * stack.heads * longest**2 * 4  # bias, products and shares while they are encoded
        return max(1, MEMORY // (memory + attention))

    def _open(
        self, inputs: Sequence[Sequence[int]], draws: int, limits: Sequence[int], jobs: list[int]
    ) -> _Slots:
        """Slots at their first position, without caches; an input that several answer is encoded once."""
        device = self.head.device
        asked: dict[int, int] = {}
        place = torch.tensor([asked.setdefault(j // draws, len(asked)) for j in jobs], device=device)
        memory = self.read([inputs[i] for i in asked])
        if len(asked) < len(jobs):
            pairs = [(keys[place], values[place]) for keys, values in memory.keys_values]
            memory = Memory(pairs, memory.bias[place])
        size = len(jobs)
        return _Slots(
            torch.tensor(jobs, device=device),
            torch.full((size,), self.start_id, device=device),
            torch.zeros(size, dtype=torch.long, device=device),
            torch.tensor([limits[j] for j in jobs], device=device),
            torch.ones(size, dtype=torch.bool, device=device),
            [],
            [],
            memory,
        )

    def _caches(self, slots: _Slots, room: int) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of all layers, none written yet."""
        width = slots.memory.keys_values[0][0].shape[3]
        shape = len(slots.job), self.stack.heads, room, width
        layers = range(len(self.layers))

        def empty() -> list[Tensor]:
            return [torch.zeros(shape, dtype=self.dtype, device=slots.job.device) for _ in layers]

        return empty(), empty()

    def _move_in(self, slots: _Slots, rows: Tensor, new: _Slots) -> None:
        for name in ("job", "last", "position", "limit", "live"):
            getattr(slots, name)[rows] = getattr(new, name)
        width = new.memory.bias.shape[3]
        for (keys, values), (k, v) in zip(slots.memory.keys_values, new.memory.keys_values, strict=True):
            keys[rows, :, :width] = k
            values[rows, :, :width] = v
        slots.memory.bias[rows, :, :, :width] = new.memory.bias
        slots.memory.bias[rows, :, :, width:] = -torch.inf

    def _biases(self, limit: int) -> Tensor:
        """[1 + limit, H] position bias by distance to the key, from 1 on; -inf at 0, for keys ahead."""
        stack = self.stack
        bucket = buckets(limit, True, stack.buckets, stack.distance, stack.positions.device)[-1].flip(0)
        near = embedding(bucket, stack.positions.detach())
        return torch.cat([torch.full_like(near[:1], -torch.inf), near])

    def _step(self, slots: _Slots, biases: Tensor) -> Tensor:
        """[n] the next token of each slot."""
        n, seen = len(slots.job), int(slots.position.max()) + 1
        flops.count(self.stack.weights + self.head.numel(), n)
        room = slots.keys[0].shape[2]
        if seen > room:
            slots.grow(min(2 * room, len(biases) - 1))
        epsilon, heads = self.stack.epsilon, self.stack.heads
        rows = torch.arange(n, device=slots.job.device)
        distance = slots.position[:, None] - torch.arange(seen, device=slots.job.device)
        bias = embedding(distance.clamp(min=-1) + 1, biases).permute(0, 2, 1)[:, :, None]  # [n, H, 1, seen]
        states = embedding(slots.last, self.stack.embedding.detach())

        def normed(weight: Tensor) -> Tensor:
            return rms_norm(states, states.shape[-1:], weight, epsilon).to(self.dtype)

        for number, layer in enumerate(self.layers):
            query, key, value = linear(normed(layer.own_norm), layer.qkv).view(n, 3, heads, -1).unbind(1)
            keys, values = slots.keys[number], slots.values[number]
            keys[rows, :, slots.position] = key
            values[rows, :, slots.position] = value
            found = _look(query, keys[:, :, :seen], values[:, :, :seen], bias)
            states = states + linear(found, layer.o)
            query = linear(normed(layer.cross_norm), layer.cross_q).view(n, heads, -1)
            found = _look(query, *slots.memory.keys_values[number], slots.memory.bias)
            states = states + linear(found, layer.cross_o)
            inner = linear(normed(layer.dense.norm), layer.dense.inner[0])
            if inner.shape[1] > layer.dense.outer.shape[1]:  # gated
                inner, gate = inner.chunk(2, 1)
                inner = self.stack.activation(inner) * gate
            else:
                inner = self.stack.activation(inner)
            states = states + linear(inner, layer.dense.outer)
        logits = linear(normed(self.stack.norm) * self.scale, self.head).float()
        if self.temperature > 0:
            return draw(logits / self.temperature, self.generator, self.top_k, self.top_p)
        return logits.argmax(-1)


def _look(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """[n, H, d] over [n, H, S, d] -> [n, H * d]."""
    share = torch.softmax(query[:, :, None] @ keys.transpose(2, 3) + bias, -1).to(values.dtype)
    return (share @ values).flatten(1)
