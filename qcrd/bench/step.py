"""Measures a training step: ours, the naive one and that of Distilling Step-by-Step's trainer, in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from qcrd.bench import peers
from qcrd.bench.rounds import Timed, Way, by_turns, ratio
from qcrd.bench.workload import Size, Workload
from qcrd.config import SelfPlay
from qcrd.objectives.qcrd import Contrastive

PLAYED = SelfPlay()  # how tokens are drawn
EPOCH = 8  # steps that self-play is drawn for at once; an epoch of SVAMP has 23


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds per step, optimiser included; QCRD's with its share of self-play."""

    m: int
    dss_peer: Timed  # transformers' modules, two padded passes
    dss: Timed  # ours
    qcrd: Timed
    naive: Timed
    play: Timed  # of qcrd, in it
    naive_play: Timed
    peak: int | None  # bytes on the GPU of our QCRD step; None on a CPU

    @property
    def ratios(self) -> dict[str, float]:
        """Of the times, medians over the rounds."""
        return {
            "qcrd_over_dss": ratio(self.qcrd, self.dss_peer),
            "naive_over_qcrd": ratio(self.naive, self.qcrd),
            "qcrd_over_own_dss": ratio(self.qcrd, self.dss),
        }

    @property
    def counted(self) -> dict[str, float]:
        """The same ratios of the matrix products alone: what the arithmetic would allow."""
        return {
            "qcrd_over_dss": self.qcrd.flops / self.dss_peer.flops,
            "naive_over_qcrd": self.naive.flops / self.qcrd.flops,
            "qcrd_over_own_dss": self.qcrd.flops / self.dss.flops,
        }

    def plain(self) -> dict:
        """For JSON."""
        ways = {name: getattr(self, name) for name in WAYS}
        return {
            "m": self.m,
            "ratios": self.ratios,
            "counted": self.counted,
            "seconds": {name: way.median for name, way in ways.items()},
            "rounds": {name: way.seconds for name, way in ways.items()},
            "tflop": {name: way.flops / 1e12 for name, way in ways.items()},
            "peak_bytes": self.peak,
        }

    def text(self) -> str:
        """For people."""
        lines = [f"m = {self.m}: medians of {len(self.qcrd.seconds)} rounds"]
        lines.append(f"  {'':<34} {'s/step':>8} {'TFLOP':>8} {'TFLOP/s':>8}")
        for name, what in WAYS.items():
            way = getattr(self, name)
            speed = way.flops / way.median / 1e12
            lines.append(f"  {what:<34} {way.median:8.3f} {way.flops / 1e12:8.3f} {speed:8.3f}")
        lines.append(f"  {'':<34} {'time':>8} {'TFLOP':>8}")
        for name, what in RATIOS.items():
            lines.append(f"  {what:<34} {self.ratios[name]:8.2f} {self.counted[name]:8.2f}")
        if self.peak is not None:
            lines.append(f"  peak memory of a QCRD step: {self.peak / 2**30:.2f} GiB")
        return "\n".join(lines)


WAYS = {
    "dss_peer": "DSS as its trainer does it",
    "dss": "DSS, ours",
    "naive": "QCRD, naive",
    "qcrd": "QCRD, ours",
    "naive_play": "  of it self-play, transformers",
    "play": "  of it self-play, ours",
}
RATIOS = {
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
    say: Callable[[str], None],
) -> StepTimes:
    """Time a step of each way on the same questions and weights.

    Args:
        size: of the student.
        m: teacher's rationales per question.
        k: self-play's.
        batch: questions per step.
        scheme: of QCRD.
        delta: its margin, nats per token.
        discriminator: whether a discriminator of the student's size weighs; its updates are not measured.
        dropout: of the student.
        bf16: whether autocast is on.
        device: "cpu" or "cuda"; None takes the GPU where there is one.
        rounds: how often each way is timed.
        say: what a person is told.
    """
    work = Workload.of(size, batch * EPOCH, m, k, dropout, bf16, device)
    student = work.student().train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True)
    dss = work.objective("dss", student, scheme, discriminator, delta)
    qcrd = work.objective("qcrd", student, scheme, discriminator, delta)
    assert isinstance(qcrd, Contrastive)
    words = torch.Generator().manual_seed(0)
    writes = iter(work.written)
    for group in qcrd.played:  # what is played is random too; how long it takes is measured apart
        group += [torch.randint(3, 100, (next(writes),), generator=words).tolist() for _ in range(k)]

    def step(loss: Callable[[Sequence[int]], Tensor], number: int) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(range(number % EPOCH * batch, (number % EPOCH + 1) * batch)).backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()

    generator = torch.Generator(work.device).manual_seed(0)

    def play(number: int) -> None:
        student.generate(
            qcrd.explain, work.written, PLAYED.tau, generator, k, top_k=PLAYED.top_k, top_p=PLAYED.top_p
        )

    def naive_play(number: int) -> None:
        begin = number % EPOCH * batch
        rows = [row for row in qcrd.explain[begin : begin + batch] for _ in range(k)]
        written = work.written[begin * k : (begin + batch) * k]
        peers.write(student, rows, written, PLAYED.tau, batch, PLAYED.top_k)

    ways: dict[str, Way] = {
        "dss_peer": partial(step, partial(peers.distil, student, dss)),
        "dss": partial(step, lambda b: dss.loss(b, 1)["loss"]),
        "qcrd": partial(step, lambda b: qcrd.loss(b, 1)["loss"]),
        "naive": partial(step, partial(peers.naive, student, qcrd)),
    }
    if k:
        ways |= {"play": play, "naive_play": naive_play}
    cuda = work.device.type == "cuda"
    peak = None
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        ways["qcrd"](0)
        peak = torch.cuda.max_memory_allocated()
    found = by_turns(ways, rounds, say)
    nothing = Timed([0.0] * rounds, 0)
    found["play"] = _share(found.get("play", nothing), EPOCH)
    found.setdefault("naive_play", nothing)
    for way, part in (("qcrd", "play"), ("naive", "naive_play")):
        found[way] = _sum(found[way], found[part])
    return StepTimes(m=m, peak=peak, **found)


def slope(times: Sequence[StepTimes]) -> float | None:
    """Seconds that one more rationale of the teacher costs the naive step, over those it costs ours.

    None where there is one m alone, or where ours did not grow beyond the noise.
    """
    first, last = min(times, key=lambda t: t.m), max(times, key=lambda t: t.m)
    ours, theirs = (getattr(last, w).median - getattr(first, w).median for w in ("qcrd", "naive"))
    return theirs / ours if ours > 0 else None


def _share(way: Timed, steps: int) -> Timed:
    return Timed([s / steps for s in way.seconds], way.flops // steps)


def _sum(one: Timed, other: Timed) -> Timed:
    pairs = zip(one.seconds, other.seconds, strict=True)
    return Timed([a + b for a, b in pairs], one.flops + other.flops)
