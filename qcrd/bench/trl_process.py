"""A process with TRL's SFTTrainer, in a Python of its own, that takes a training step on request."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from qcrd.errors import ConfigError

SCRIPT = Path(__file__).with_name("trl_peer.py")

Example = tuple[Sequence[int], Sequence[int]]
"""Tokens of a prompt and of its completion."""


@dataclass(slots=True)
class TrlProcess:
    """TRL's trainer over examples in their order.

    Attributes:
        python: of an environment with trl.
        folder: for its files and log.
        model: folder of the weights that it starts from.
        examples: at least one step's; they repeat.
        per_step: examples per step.
        padding_free: whether a step's examples are one row without padding.
        device: its device.
        bf16: whether to use autocast to bf16.
        versions: of trl, transformers and torch.
        flops: of matrix products in the first step.
        losses: of the steps so far.
        peak: GPU memory in bytes; None on a CPU.
    """

    python: Path
    folder: Path
    model: Path
    examples: Sequence[Example]
    per_step: int
    padding_free: bool
    device: torch.device
    bf16: bool
    versions: dict[str, str] = field(init=False, default_factory=dict)
    flops: int = field(init=False, default=0)
    losses: list[float] = field(init=False, default_factory=list)
    peak: int | None = field(init=False, default=None)
    _process: subprocess.Popen[str] = field(init=False)

    def start(self) -> None:
        """Start it, and wait until its model is loaded.

        Raises:
            ConfigError: where the interpreter does not start, or has no trl that works.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        job = {
            "model": str(self.model),
            "folder": str(self.folder),
            "rows": [
                {"input_ids": [*prompt, *row], "completion_mask": [0] * len(prompt) + [1] * len(row)}
                for prompt, row in self.examples
            ],
            "examples": self.per_step,
            "padding_free": self.padding_free,
            "device": self.device.type,
            "bf16": self.bf16,
            "threads": torch.get_num_threads(),
        }
        path = self.folder / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            # One GPU: with several, transformers' Trainer would use them all.
            "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0],
        }
        try:
            with self._log.open("w") as log:
                # Isolated (-I): modules beside the script do not hide libraries of the same name.
                self._process = subprocess.Popen(
                    [str(self.python), "-I", str(SCRIPT), str(path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=environment,
                )
        except OSError as error:
            raise ConfigError(
                f"--trl-python {str(self.python)!r} does not start ({error}); give the path of a Python "
                "interpreter, such as VENV/bin/python"
            ) from error
        try:
            self.versions = self._answer()["versions"]
        except BaseException:
            self.close()
            raise

    def step(self) -> None:
        """Take the next step, optimiser included."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("step\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its log says why it ended
        answer = self._answer()
        self.losses.append(answer["loss"])
        self.flops = answer.get("flops", self.flops)
        self.peak = answer.get("peak_bytes")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    @property
    def _log(self) -> Path:
        return self.folder / "log.txt"

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
            raise ConfigError(
                f"--trl-python {str(self.python)!r}: TRL's trainer ended ({' '.join(last[-2:])}); give the "
                "Python of an environment with trl (python -m venv VENV; VENV/bin/pip install trl)"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer
