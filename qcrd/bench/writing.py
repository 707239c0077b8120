"""Measures sampling from the student: our decoding against transformers' `generate`, in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from qcrd.bench import peers
from qcrd.bench.rounds import Timed, by_turns, ratio
from qcrd.bench.workload import Size, Workload
from qcrd.seeds import derive


@dataclass(frozen=True, slots=True)
class WritingTimes:
    """Seconds that each way took for the same sequences."""

    sequences: int
    tokens: int
    theirs: Timed
    ours: Timed

    @property
    def ratio(self) -> float:
        """Our sequences per second over theirs."""
        return ratio(self.theirs, self.ours)

    def plain(self) -> dict:
        """For JSON."""
        rate = {name: self.sequences / way.median for name, way in self._ways().items()}
        return {"ratio": self.ratio, "per_second": rate, "sequences": self.sequences, "tokens": self.tokens}

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.sequences} rationales of {self.tokens} tokens, {len(self.ours.seconds)} rounds",
            *(
                f"  {name:<14} {self.sequences / way.median:8.1f} rationales/s"
                for name, way in self._ways().items()
            ),
            f"  ours / transformers' {self.ratio:.2f}",
        ]
        return "\n".join(lines)

    def _ways(self) -> dict[str, Timed]:
        return {"transformers": self.theirs, "qcrd": self.ours}


def bench_writing(
    size: Size,
    questions: int,
    batch: int,
    temperature: float,
    top_k: int | None,
    bf16: bool,
    device: str | None,
    rounds: int,
    say: Callable[[str], None],
) -> WritingTimes:
    """Sample a rationale for each question, both ways with the same model, lengths and batch size.

    A random model does not end by itself, so each sequence ends at a length drawn as SVAMP's are.

    Args:
        size: of the student.
        questions: how many.
        batch: sequences side by side.
        temperature: of sampling.
        top_k: likeliest tokens that are drawn among; None is all.
        bf16: whether autocast is on.
        device: "cpu" or "cuda"; None takes the GPU where there is one.
        rounds: how often each way is timed.
        say: what a person is told.
    """
    work = Workload.of(size, questions, 1, 1, bf16=bf16, device=device)
    student = work.student().eval()
    inputs = student.prompts("explain", [q.text for q in work.questions], 128)
    generator = torch.Generator(work.device).manual_seed(derive(0, "selfplay"))
    ways = {
        "transformers": lambda _: peers.write(student, inputs, work.written, temperature, batch, top_k),
        "qcrd": lambda _: student.generate(
            inputs, work.written, temperature, generator, batch=batch, top_k=top_k
        ),
    }
    found = by_turns(ways, rounds, say)
    return WritingTimes(questions, sum(work.written), found["transformers"], found["qcrd"])
