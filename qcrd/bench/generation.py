"""Benchmark of sampling from the student against transformers' `generate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from qcrd.bench import baselines
from qcrd.bench.rounds import Implementation, Timing, ratio, time_interleaved
from qcrd.bench.workload import StudentName, draw_workload
from qcrd.config import SelfPlay
from qcrd.seeds import derive


@dataclass(frozen=True, slots=True)
class GenerationTimes:
    """Times of both implementations for the same sequences."""

    sequences: int
    tokens: int  # of all sequences
    theirs: Timing  # transformers
    ours: Timing

    @property
    def ratio(self) -> float:
        """Our sequences per second divided by theirs."""
        return ratio(self.theirs, self.ours)

    def summary(self) -> dict[str, Any]:
        """Ratio and rates, for JSON."""
        rate = {name: self.sequences / timing.median for name, timing in self._timings().items()}
        return {"ratio": self.ratio, "per_second": rate, "sequences": self.sequences, "tokens": self.tokens}

    def text(self) -> str:
        """Human-readable text."""
        lines = [
            f"{self.sequences} rationales of {self.tokens} tokens, {len(self.ours.seconds)} rounds",
            *(
                f"  {name:<14} {self.sequences / timing.median:8.1f} rationales/s"
                for name, timing in self._timings().items()
            ),
            f"  ours / transformers' {self.ratio:.2f}",
        ]
        return "\n".join(lines)

    def _timings(self) -> dict[str, Timing]:
        return {"transformers": self.theirs, "qcrd": self.ours}


def bench_generation(
    name: StudentName,
    questions: int,
    batch: int,
    temperature: float,
    top_k: int | None,
    bf16: bool,
    device: str | None,
    rounds: int,
    report: Callable[[str], None],
) -> GenerationTimes:
    """Sample a rationale for each question with the same model, lengths and batch size.

    The lengths are drawn from SVAMP's distribution: a random model does not generate end of sequence, and a
    decoder-only one is kept from it.

    Args:
        name: name of the student.
        questions: number of questions.
        batch: sequences per batch.
        temperature: sampling temperature.
        top_k: number of most likely tokens to sample from; None for all.
        bf16: whether to use autocast to bf16.
        device: "cpu" or "cuda"; None for the GPU if there is one.
        rounds: number of timings of each implementation.
        report: function that receives progress messages.
    """
    workload = draw_workload(name, questions, 1, 1, bf16=bf16, device=device)
    student = workload.student().eval()
    lengths = workload.texts.selfplay_lengths
    inputs = student.prompts("explain", [q.text for q in workload.texts.questions], 128)
    sampling = SelfPlay(tau=temperature, top_k=top_k)
    generator = torch.Generator(workload.device).manual_seed(derive(0, "selfplay"))
    implementations: dict[str, Implementation] = {
        "transformers": lambda _: baselines.generate(student, inputs, lengths, temperature, batch, top_k),
        "qcrd": lambda _: workload.write(student, inputs, lengths, sampling, generator, 1, batch),
    }
    timings = time_interleaved(implementations, rounds, report)
    return GenerationTimes(questions, sum(lengths), timings["transformers"], timings["qcrd"])
