"""Steps of TRL's SFTTrainer on the data of our DSS: the same tokens, weights, batches and optimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from qcrd.bench.rounds import Implementation, Timing
from qcrd.bench.trl_process import Example, TrlProcess
from qcrd.errors import ConfigError
from qcrd.objectives.dss import StepByStep
from qcrd.student.base import Student

BATCHINGS = {"padded": False, "padding-free": True}
"""How a step's examples are batched, with SFTTrainer's setting."""
TOLERANCE = {False: 1e-3, True: 2e-2}  # of a loss, relative, by bf16


@dataclass(frozen=True, slots=True)
class TrlTimes:
    """Times of TRL's steps by batching, without those whose loss is another."""

    timings: dict[str, Timing]
    left_out: dict[str, str]  # reason by batching
    versions: dict[str, str]
    peak: int | None  # GPU memory of the faster one, in bytes

    @property
    def batching(self) -> str:
        """The faster one."""
        return min(self.timings, key=lambda name: self.timings[name].median)

    @property
    def timing(self) -> Timing:
        """Of the faster batching; ratios are over it."""
        return self.timings[self.batching]

    def summary(self) -> dict[str, Any]:
        """Versions and times, for JSON."""
        return {
            "versions": self.versions,
            "batching": self.batching,
            "seconds": {name: timing.median for name, timing in self.timings.items()},
            "rounds": {name: timing.seconds for name, timing in self.timings.items()},
            "tflop": {name: timing.flops / 1e12 for name, timing in self.timings.items()},
            "left_out": self.left_out,
        }

    def text(self) -> str:
        """Versions and what each batching took, in one line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        took = [f"{name} {timing.median:.3f} s" for name, timing in self.timings.items()]
        took += [f"{name} left out: {reason}" for name, reason in self.left_out.items()]
        return f"TRL's SFTTrainer ({versions}): {'; '.join(took)}"


@dataclass(slots=True)
class TrlSteps:
    """Running trainers by batching."""

    processes: dict[str, TrlProcess] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        python: Path,
        folder: Path,
        student: Student,
        dss: StepByStep,
        batch: int,
        bf16: bool,
        dropout: float,
        report: Callable[[str], None],
    ) -> TrlSteps:
        """Start a trainer for each batching.

        Args:
            python: of an environment with trl.
            folder: for the weights and logs.
            student: whose weights they start from.
            dss: the objective with the data.
            batch: questions per step.
            bf16: whether to use autocast to bf16.
            dropout: of the student; above 0 losses are random and are not compared.
            report: function that receives progress messages.

        Raises:
            ConfigError: where TRL does not run, or no batching has our loss.
        """
        model = folder / "model"
        student.save(model)
        rows = examples(dss)
        each = len(rows) // len(dss.explain) * batch
        steps = cls()
        try:
            wanted = token_mean(student, dss, batch) if not dropout else None
            for name, padding_free in BATCHINGS.items():
                process = TrlProcess(
                    python, folder / name, model, rows, each, padding_free, student.device, bf16
                )
                process.start()
                steps.processes[name] = process
                process.step()
                report(f"TRL {process.versions['trl']}, {name}: loss {process.losses[0]:.4f}")
                if wanted is not None and abs(process.losses[0] / wanted - 1) > TOLERANCE[bf16]:
                    steps.left_out[name] = f"its loss is {process.losses[0]:.4f} instead of {wanted:.4f}"
                    steps.processes.pop(name).close()
            if not steps.processes:
                raise ConfigError(f"--trl-python: TRL computes another loss ({steps.left_out})")
        except BaseException:
            steps.close()
            raise
        return steps

    @property
    def implementations(self) -> dict[str, Implementation]:
        """A step of each, for `time_interleaved`; its first one is already taken."""
        return {f"trl {name}": _step(process) for name, process in self.processes.items()}

    def times(self, timings: dict[str, Timing]) -> TrlTimes:
        """Of the timings of `implementations`, with the FLOPs that the other processes counted."""
        own = {
            name: Timing(timings[f"trl {name}"].seconds, process.flops)
            for name, process in self.processes.items()
        }
        process = next(iter(self.processes.values()))
        times = TrlTimes(own, self.left_out, process.versions, None)
        return TrlTimes(own, self.left_out, process.versions, self.processes[times.batching].peak)

    def close(self) -> None:
        """End their processes."""
        for process in self.processes.values():
            process.close()


def _step(process: TrlProcess) -> Implementation:
    def run(number: int) -> None:
        if number:  # its warm-up, step 0, was taken when it started
            process.step()

    return run


def examples(dss: StepByStep) -> list[Example]:
    """Prompts and completions of all questions in order; in multitask a label's and a rationale's each."""
    rows: list[Example] = []
    for number, prompt in enumerate(dss.explain):
        if not dss.targets.sequence:
            rows.append((dss.predict[number], dss.labels[number]))
        rows.append((prompt, dss.pool.positives[number][0]))
    return rows


@torch.no_grad()
def token_mean(student: Student, dss: StepByStep, batch: int) -> float:
    """Mean loss over all tokens of the completions of the first `batch` questions, as SFTTrainer's."""
    rows = examples(dss)
    rows = rows[: len(rows) // len(dss.explain) * batch]
    prompts = student.read([prompt for prompt, _ in rows])
    means = student.cross_entropy(prompts, range(len(rows)), [row for _, row in rows])
    counts = torch.tensor([len(row) for _, row in rows], device=means.device)
    return float((means * counts).sum() / counts.sum())
