"""Benchmark of a training step against a naive implementation and Distilling Step-by-Step's trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from qcrd.bench import baselines
from qcrd.bench.rounds import Implementation, Timing, ratio, time_interleaved
from qcrd.bench.workload import Size, Workload
from qcrd.config import SelfPlay
from qcrd.objectives.dss import StepByStep
from qcrd.objectives.qcrd import Contrastive

SAMPLING = SelfPlay()  # sampling settings of self-play
EPOCH = 8  # steps whose self-play is generated at once; an epoch of SVAMP has 23


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Times per step, including the optimiser; for QCRD, also including self-play."""

    m: int  # teacher rationales per question
    dss_peer: Timing  # transformers' modules, two padded passes
    dss: Timing  # ours
    qcrd: Timing
    naive: Timing
    play: Timing  # part of `qcrd` that is self-play
    naive_play: Timing  # part of `naive` that is self-play
    peak: int | None  # peak GPU memory of our QCRD step, in bytes; None on a CPU

    @property
    def ratios(self) -> dict[str, float]:
        """Ratios of times, medians over the rounds."""
        return {
            "qcrd_over_dss": ratio(self.qcrd, self.dss_peer),
            "naive_over_qcrd": ratio(self.naive, self.qcrd),
            "qcrd_over_own_dss": ratio(self.qcrd, self.dss),
        }

    @property
    def counted(self) -> dict[str, float]:
        """The same ratios for FLOPs of matrix products: the speed-up that the arithmetic alone allows."""
        return {
            "qcrd_over_dss": self.qcrd.flops / self.dss_peer.flops,
            "naive_over_qcrd": self.naive.flops / self.qcrd.flops,
            "qcrd_over_own_dss": self.qcrd.flops / self.dss.flops,
        }

    def summary(self) -> dict[str, Any]:
        """Ratios and times, for JSON."""
        timings = {name: getattr(self, name) for name in TITLES}
        return {
            "m": self.m,
            "ratios": self.ratios,
            "counted": self.counted,
            "seconds": {name: timing.median for name, timing in timings.items()},
            "rounds": {name: timing.seconds for name, timing in timings.items()},
            "tflop": {name: timing.flops / 1e12 for name, timing in timings.items()},
            "peak_bytes": self.peak,
        }

    def text(self) -> str:
        """Human-readable text."""
        lines = [f"m = {self.m}: medians of {len(self.qcrd.seconds)} rounds"]
        lines.append(f"  {'':<34} {'s/step':>8} {'TFLOP':>8} {'TFLOP/s':>8}")
        for name, title in TITLES.items():
            timing = getattr(self, name)
            speed = timing.flops / timing.median / 1e12
            lines.append(f"  {title:<34} {timing.median:8.3f} {timing.flops / 1e12:8.3f} {speed:8.3f}")
        lines.append(f"  {'':<34} {'time':>8} {'TFLOP':>8}")
        for name, title in RATIO_TITLES.items():
            lines.append(f"  {title:<34} {self.ratios[name]:8.2f} {self.counted[name]:8.2f}")
        if self.peak is not None:
            lines.append(f"  peak memory of a QCRD step: {self.peak / 2**30:.2f} GiB")
        return "\n".join(lines)


TITLES = {
    "dss_peer": "DSS, its own trainer",
    "dss": "DSS, ours",
    "naive": "QCRD, naive",
    "qcrd": "QCRD, ours",
    "naive_play": "  self-play part, transformers",
    "play": "  self-play part, ours",
}
RATIO_TITLES = {
    "qcrd_over_dss": "ours / DSS's trainer",
    "naive_over_qcrd": "naive / ours",
    "qcrd_over_own_dss": "ours / our DSS",
}


def bench_step(
    size: Size,
    m: int,
    k: int,
    batch: int,
    scheme: str,
    delta: float,
    discriminator: bool,
    dropout: float,
    bf16: bool,
    device: str | None,
    rounds: int,
    report: Callable[[str], None],
) -> StepTimes:
    """Time a step of each implementation on the same questions and weights.

    Args:
        size: size of the student.
        m: teacher rationales per question.
        k: self-play rationales per question.
        batch: questions per step.
        scheme: scheme of QCRD.
        delta: margin of QCRD, nats per token.
        discriminator: whether to weight rationales by a discriminator of the student's size. Its updates are
            not measured.
        dropout: dropout of the student.
        bf16: whether to use autocast to bf16.
        device: "cpu" or "cuda"; None for the GPU if there is one.
        rounds: number of timings of each implementation.
        report: function that receives progress messages.
    """
    workload = Workload.draw(size, batch * EPOCH, m, k, dropout, bf16, device)
    student = workload.student().train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True)
    dss = workload.objective("dss", student, scheme, discriminator, delta)
    qcrd = workload.objective("qcrd", student, scheme, discriminator, delta)
    assert isinstance(dss, StepByStep) and isinstance(qcrd, Contrastive)
    token_generator = torch.Generator().manual_seed(0)
    lengths = iter(workload.selfplay_lengths)
    for group in qcrd.played:  # random tokens; generation is timed separately
        group += [
            torch.randint(3, 100, (next(lengths),), generator=token_generator).tolist() for _ in range(k)
        ]

    def step(loss: Callable[[Sequence[int]], Tensor], number: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(range(number % EPOCH * batch, (number % EPOCH + 1) * batch)).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()

    generator = torch.Generator(workload.device).manual_seed(0)

    def play(number: int) -> None:
        student.generate(
            qcrd.explain,
            workload.selfplay_lengths,
            SAMPLING.tau,
            generator,
            k,
            top_k=SAMPLING.top_k,
            top_p=SAMPLING.top_p,
        )

    def naive_play(number: int) -> None:
        begin = number % EPOCH * batch
        rows = [row for row in qcrd.explain[begin : begin + batch] for _ in range(k)]
        lengths = workload.selfplay_lengths[begin * k : (begin + batch) * k]
        baselines.generate(student, rows, lengths, SAMPLING.tau, batch, SAMPLING.top_k)

    implementations: dict[str, Implementation] = {
        "dss_peer": partial(step, partial(baselines.dss_loss, student, dss)),
        "dss": partial(step, lambda b: dss.loss(b, 1)["loss"]),
        "qcrd": partial(step, lambda b: qcrd.loss(b, 1)["loss"]),
        "naive": partial(step, partial(baselines.naive_loss, student, qcrd)),
    }
    if k:
        implementations |= {"play": play, "naive_play": naive_play}
    cuda = workload.device.type == "cuda"
    peak = None
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        implementations["qcrd"](0)
        peak = torch.cuda.max_memory_allocated()
    timings = time_interleaved(implementations, rounds, report)
    none = Timing([0.0] * rounds, 0)
    timings["play"] = _per_step(timings.get("play", none), EPOCH)
    timings.setdefault("naive_play", none)
    for name, part in (("qcrd", "play"), ("naive", "naive_play")):
        timings[name] = _sum(timings[name], timings[part])
    return StepTimes(m=m, peak=peak, **timings)


def slope(times: Sequence[StepTimes]) -> float | None:
    """Cost of an additional teacher rationale in the naive step, divided by its cost in ours.

    Args:
        times: results for several m.

    Returns:
        The ratio; None if all m are equal or our time did not increase with m.
    """
    first, last = min(times, key=lambda t: t.m), max(times, key=lambda t: t.m)
    ours, theirs = (getattr(last, w).median - getattr(first, w).median for w in ("qcrd", "naive"))
    return theirs / ours if ours > 0 else None


def _per_step(timing: Timing, steps: int) -> Timing:
    return Timing([s / steps for s in timing.seconds], timing.flops // steps)


def _sum(first: Timing, second: Timing) -> Timing:
    pairs = zip(first.seconds, second.seconds, strict=True)
    return Timing([a + b for a, b in pairs], first.flops + second.flops)
