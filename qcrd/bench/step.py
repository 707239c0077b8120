"""Benchmark of a training step against a naive implementation, DSS's trainer and TRL's SFTTrainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from qcrd.bench import baselines
from qcrd.bench.causal_workload import Targets
from qcrd.bench.rounds import Implementation, Timing, ratio, time_interleaved
from qcrd.bench.trl_steps import TrlSteps, TrlTimes
from qcrd.bench.workload import StudentName, draw_workload
from qcrd.config import SelfPlay
from qcrd.errors import ConfigError
from qcrd.objectives.dss import StepByStep
from qcrd.objectives.qcrd import Contrastive
from qcrd.training.cards import peak_tflops

SAMPLING = SelfPlay()  # sampling settings of self-play
BATCH = 256  # sequences that self-play writes side by side
EPOCH = 8  # steps whose self-play is generated at once; an epoch of SVAMP has 23


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Times per step, including the optimiser; for QCRD, also including self-play."""

    student: StudentName
    m: int  # teacher rationales per question
    dss_peer: Timing  # transformers' modules, two padded passes
    dss: Timing  # ours
    qcrd: Timing
    naive: Timing
    play: Timing  # part of `qcrd` that is self-play
    naive_play: Timing  # part of `naive` that is self-play
    trl: TrlTimes | None  # None where no Python with trl was given
    tokens: dict[str, float]  # per step of "dss" and "qcrd", each sequence with its prompt, without padding
    peaks: dict[str, int]  # peak GPU memory of our steps and TRL's, in bytes; empty on a CPU
    peak_tflops: float | None  # of the GPU in bf16; None where it is not known, or was not used

    @property
    def ratios(self) -> dict[str, float]:
        """Ratios of times, medians over the rounds."""
        pairs = {name: ratio(self._timing(a), self._timing(b)) for name, (a, b) in RATIOS.items()}
        return pairs | self._over_trl(ratio)

    @property
    def counted(self) -> dict[str, float]:
        """The same ratios for FLOPs of matrix products: the speed-up that the arithmetic alone allows."""
        pairs = {name: _flops_ratio(self._timing(a), self._timing(b)) for name, (a, b) in RATIOS.items()}
        return pairs | self._over_trl(_flops_ratio)

    @property
    def tokens_per_second(self) -> dict[str, float]:
        """Of each implementation; all read the same texts."""
        read = {"dss_peer": "dss", "dss": "dss", "naive": "qcrd", "qcrd": "qcrd"}
        rates = {name: self.tokens[kind] / self._timing(name).median for name, kind in read.items()}
        return rates | ({"trl": self.tokens["dss"] / self.trl.timing.median} if self.trl else {})

    @property
    def utilisation(self) -> dict[str, float]:
        """Share of the GPU's bf16 peak, from the counted FLOPs; empty where the peak is not known."""
        if self.peak_tflops is None:
            return {}
        timings = {name: self._timing(name) for name in ("dss_peer", "dss", "naive", "qcrd")}
        timings |= {"trl": self.trl.timing} if self.trl else {}
        return {
            name: timing.flops / timing.median / 1e12 / self.peak_tflops for name, timing in timings.items()
        }

    def summary(self) -> dict[str, Any]:
        """Ratios and times, for JSON."""
        timings = {name: self._timing(name) for name in TITLES}
        return {
            "student": self.student,
            "m": self.m,
            "ratios": self.ratios,
            "counted": self.counted,
            "seconds": {name: timing.median for name, timing in timings.items()},
            "rounds": {name: timing.seconds for name, timing in timings.items()},
            "tflop": {name: timing.flops / 1e12 for name, timing in timings.items()},
            "tokens": self.tokens,
            "tokens_per_second": self.tokens_per_second,
            "utilisation": self.utilisation,
            "peak_bytes": self.peaks.get("qcrd"),
            "peaks": self.peaks,
            "trl": self.trl.summary() if self.trl else None,
        }

    def text(self) -> str:
        """Human-readable text."""
        lines = [f"{self.student}, m = {self.m}: medians of {len(self.qcrd.seconds)} rounds"]
        lines.append(f"  {'':<34} {'s/step':>8} {'TFLOP':>8} {'TFLOP/s':>8} {'tokens/s':>9}")
        rows = [(title, name, self._timing(name)) for name, title in TITLES.items()]
        if self.trl is not None:
            rows.insert(0, (f"DSS, TRL's SFTTrainer ({self.trl.batching})", "trl", self.trl.timing))
        for title, name, timing in rows:
            speed = timing.flops / timing.median / 1e12 if timing.median else 0.0
            rate = self.tokens_per_second.get(name)
            shown = f" {rate:9,.0f}" if rate is not None else ""
            lines.append(f"  {title:<34} {timing.median:8.3f} {timing.flops / 1e12:8.3f} {speed:8.3f}{shown}")
        lines.append(f"  {'':<34} {'time':>8} {'TFLOP':>8}")
        for name, value in self.ratios.items():
            lines.append(f"  {RATIO_TITLES[name]:<34} {value:8.2f} {self.counted[name]:8.2f}")
        if self.trl is not None:
            lines.append(f"  {self.trl.text()}")
        elif not self.student.startswith("t5"):
            lines.append("  not compared with TRL's SFTTrainer: give a Python that has it by --trl-python")
        lines += [f"  peak memory, {name}: {peak / 2**30:.2f} GiB" for name, peak in self.peaks.items()]
        lines += [f"  share of the GPU's peak, {name}: {v:.1%}" for name, v in self.utilisation.items()]
        return "\n".join(lines)

    def _timing(self, name: str) -> Timing:
        timing: Timing = getattr(self, name)
        return timing

    def _over_trl(self, quotient: Callable[[Timing, Timing], float]) -> dict[str, float]:
        if self.trl is None:
            return {}
        return {
            "qcrd_over_trl": quotient(self.qcrd, self.trl.timing),
            "dss_over_trl": quotient(self.dss, self.trl.timing),
        }


def _flops_ratio(numerator: Timing, denominator: Timing) -> float:
    return numerator.flops / denominator.flops


RATIOS = {
    "qcrd_over_dss": ("qcrd", "dss_peer"),
    "naive_over_qcrd": ("naive", "qcrd"),
    "qcrd_over_own_dss": ("qcrd", "dss"),
}
TITLES = {
    "dss_peer": "DSS, padded as in its own trainer",
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
    "qcrd_over_trl": "ours / TRL's SFTTrainer",
    "dss_over_trl": "our DSS / TRL's SFTTrainer",
}


def bench_step(
    name: StudentName,
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
    targets: Targets = "multitask",
    trl_python: Path | None = None,
) -> StepTimes:
    """Time a step of each implementation on the same questions and weights.

    Args:
        name: name of the student.
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
        targets: what a decoder-only student learns to write.
        trl_python: Python of an environment with trl, to compare a decoder-only student with.

    Raises:
        ConfigError: where the student does not have one of these settings, or TRL does not run.
    """
    if name.startswith("t5"):
        if targets != "multitask":
            raise ConfigError(f"--targets {targets}: {name} has multitask alone")
        if trl_python is not None:
            raise ConfigError(f"--trl-python: TRL's SFTTrainer trains decoder-only models, not {name}")
    workload = draw_workload(name, batch * EPOCH, m, k, dropout, bf16, device, targets)
    texts = workload.texts
    student = workload.student().train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-6, fused=True)
    dss = workload.objective("dss", student, scheme, discriminator, delta)
    qcrd = workload.objective("qcrd", student, scheme, discriminator, delta)
    assert isinstance(dss, StepByStep) and isinstance(qcrd, Contrastive)
    token_generator = torch.Generator().manual_seed(0)
    selfplay_lengths = _selfplay_lengths(qcrd, texts.selfplay_lengths, k)
    lengths = iter(selfplay_lengths)
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
        workload.write(student, qcrd.explain, selfplay_lengths, SAMPLING, generator, k, BATCH)

    def naive_play(number: int) -> None:
        begin = number % EPOCH * batch
        rows = [row for row in qcrd.explain[begin : begin + batch] for _ in range(k)]
        lengths = selfplay_lengths[begin * k : (begin + batch) * k]
        baselines.generate(student, rows, lengths, SAMPLING.tau, batch, SAMPLING.top_k)

    implementations: dict[str, Implementation] = {
        "dss_peer": partial(step, partial(baselines.dss_loss, student, dss)),
        "dss": partial(step, lambda b: dss.loss(b, 1)["loss"]),
        "qcrd": partial(step, lambda b: qcrd.loss(b, 1)["loss"]),
        "naive": partial(step, partial(baselines.naive_loss, student, qcrd)),
    }
    if k:
        implementations |= {"play": play, "naive_play": naive_play}
    peaks = {}
    card = None
    if workload.device.type == "cuda":
        card = peak_tflops(torch.cuda.get_device_name(workload.device)) if bf16 else None
        for part in ("dss", "qcrd"):
            torch.cuda.reset_peak_memory_stats()
            implementations[part](0)
            peaks[part] = torch.cuda.max_memory_allocated()
    with ExitStack() as stack:
        trl = None
        if trl_python is not None:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            trl = TrlSteps.start(trl_python, folder, student, dss, batch, bf16, dropout, report)
            stack.callback(trl.close)
            implementations |= trl.implementations
        timings = time_interleaved(implementations, rounds, report)
    trl_times = trl.times({way: timings.pop(way) for way in trl.implementations}) if trl else None
    peaks |= {"trl": trl_times.peak} if trl_times and trl_times.peak else {}
    none = Timing([0.0] * rounds, 0)
    timings["play"] = _per_step(timings.get("play", none), EPOCH)
    timings.setdefault("naive_play", none)
    for whole, part in (("qcrd", "play"), ("naive", "naive_play")):
        timings[whole] = _sum(timings[whole], timings[part])
    return StepTimes(
        student=name,
        m=m,
        trl=trl_times,
        tokens={"dss": _tokens(dss) / EPOCH, "qcrd": _tokens(qcrd) / EPOCH},
        peaks=peaks,
        peak_tflops=card,
        **timings,
    )


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


def _selfplay_lengths(objective: Contrastive, rationales: Sequence[int], k: int) -> list[int]:
    """Tokens of what each question's self-play writes: rationales, in sequences with cue and label."""
    if not objective.targets.sequence:
        return list(rationales)
    (cue,) = objective.targets.tokens([""], [""])
    return [
        length + len(cue) - 1 + len(objective.labels[number // k]) - 1
        for number, length in enumerate(rationales)
    ]


def _tokens(objective: StepByStep | Contrastive) -> int:
    """Tokens of all sequences that the objective's losses read, each with its prompt."""
    total = 0
    for number in range(len(objective.explain)):
        rationales = list(objective.pool.positives[number])
        if isinstance(objective, Contrastive):
            rationales += objective.pool.negatives[number] + objective.played[number]
        total += sum(len(objective.explain[number]) + len(row) for row in rationales)
        if not objective.targets.sequence:
            total += len(objective.predict[number]) + len(objective.labels[number])
    return total
