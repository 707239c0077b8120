"""The training loop: iterations of steps with regular evaluation, resumable at iteration boundaries.

All randomness is derived from the cell's seed and the number of the step or iteration, never from a running
generator, so that a resumed training has identical results.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qcrd import config
from qcrd.discriminator.trainer import load_optimizer
from qcrd.errors import Diverged
from qcrd.objectives.base import Objective
from qcrd.seeds import derive, epoch_order
from qcrd.storage import tensors
from qcrd.storage.files import atomic, read_json, write_json
from qcrd.storage.home import PREDICTIONS
from qcrd.storage.journal import Journal
from qcrd.storage.tensors import DamagedTensors
from qcrd.student import flops
from qcrd.student.base import Student
from qcrd.student.selfplay import Snapshots
from qcrd.training import checkpoint
from qcrd.training.evaluate import Evaluator, accuracy

LOG_EVERY = 10  # steps
CHECKPOINT_SHARE = 0.05  # maximum share of the time for writing checkpoints
CHECKPOINT_SECONDS = 5.0  # minimum time between two checkpoints
WEIGHTS = "student.safetensors"

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """State of a training for reports."""

    step: int = 0
    steps: int = 0
    loss: float = math.nan  # mean since the last report
    flops: int = 0  # of training so far, without evaluation; see `qcrd.student.flops`
    chosen_step: int = 0  # step with the best validation accuracy so far
    accuracy: dict[str, float] = field(default_factory=dict)  # validation, test, test_last, test_best


class Trainer:
    """Trains one student on one objective.

    Files in `folder`: the journal; checkpoints during training; weights and predictions of the chosen step.
    """

    def __init__(
        self,
        student: Student,
        objective: Objective,
        ids: Sequence[str],
        settings: config.Training,
        seed: int,
        evaluators: dict[str, Evaluator],
        journal: Journal,
        folder: Path,
        report: Callable[[Progress], None],
        statistics: dict[str, float],
        usage: Callable[[], dict[str, float]] = dict,
    ):
        """Create the optimiser and an empty state.

        Args:
            student: the student, which is trained in place.
            objective: computes the loss.
            ids: ids of the training questions.
            settings: the section `training`.
            seed: the cell's seed.
            evaluators: for "validation" and "test".
            journal: receives metrics.
            folder: folder of the cell.
            report: called after every few steps.
            statistics: metrics of step 0 in the journal.
            usage: returns metrics of the machine's utilisation, called at each evaluation.
        """
        self.student, self.objective, self.ids = student, objective, ids
        self.settings, self.seed = settings, seed
        self.evaluators, self.journal, self.folder, self.report = evaluators, journal, folder, report
        size = min(settings.batch, len(ids))
        self.epoch_steps = math.ceil(len(ids) / size)
        self.iteration_steps = settings.iteration or self.epoch_steps
        self.optimizer = torch.optim.AdamW(
            student.parameters(),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,  # takes a fifth of the time on a CPU too
        )
        self.snapshots = Snapshots(objective.lag)
        self.progress = Progress(steps=settings.steps)
        self.statistics, self.usage = statistics, usage
        self.spent = 0.0  # seconds of earlier attempts up to the checkpoint
        self._chosen: list[int] = []  # chosen steps of the kept checkpoints
        self._snapshot_files: checkpoint.Names = {}
        self._order: tuple[int, list[list[int]]] = (-1, [])  # epoch and its batches

    def run(self) -> Progress:
        """Train to the last step, resuming from the newest checkpoint if there is one.

        Raises:
            Diverged: if a loss, gradient or weight is not finite.
        """
        start = time.monotonic()
        try:
            self._train(self._resume(), start)
        finally:
            self.spent += time.monotonic() - start
        for name, ending in ((PREDICTIONS, ".json"), (WEIGHTS, ".safetensors")):
            with atomic(self.folder / name) as temporary:
                shutil.copyfile(self._best(self.progress.chosen_step, ending), temporary)
        return self.progress

    def _train(self, iteration: int, start: float) -> None:
        saved, cost, step = start, 0.0, self.progress.step
        while step < self.settings.steps:
            self._check_weights(step)  # snapshots and checkpoints must be finite
            self.snapshots.take(iteration, self.student)
            waited = time.monotonic() - saved
            if iteration and waited > max(CHECKPOINT_SECONDS, cost / CHECKPOINT_SHARE):
                self._save(iteration, self.spent + time.monotonic() - start)
                cost, saved = time.monotonic() - saved - waited, time.monotonic()
            end = min(step + self.iteration_steps, self.settings.steps)
            upcoming = sorted({i for number in range(step + 1, end + 1) for i in self._batch(number)})
            flops_before = flops.total()
            metrics = self.objective.begin_iteration(iteration, self.snapshots, upcoming)
            self.progress.flops += flops.total() - flops_before
            if metrics:
                self.journal.metrics(step, **{"time/iteration": iteration}, **metrics)
            while step < end:
                step = self._steps(step, end)
            iteration += 1

    def _best(self, step: int, ending: str) -> Path:
        # One file per step: a killed attempt may have got past the checkpoint from which training resumes.
        return self.folder / f"best-{step:08d}{ending}"

    def _steps(self, step: int, end: int) -> int:
        """Train up to the next log line, evaluation or `end`; returns the step reached."""
        every = self.settings.evaluate_every
        stop = min(end, (step // LOG_EVERY + 1) * LOG_EVERY, (step // every + 1) * every)
        start, flops_before = time.monotonic(), flops.total()
        sums: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        self.student.train()
        for number in range(step + 1, stop + 1):
            for name, value in self._step(number).items():
                sums[name] = sums.get(name, 0.0) + torch.nan_to_num(value.float())
                counts[name] = counts.get(name, 0.0) + (~torch.isnan(value)).float()
        means = {name: float(sums[name] / counts[name]) for name in sums if float(counts[name])}
        seconds = (time.monotonic() - start) / (stop - step)
        self.progress.flops += flops.total() - flops_before
        losses = {_grouped(name): value for name, value in means.items()}
        others = {"optimizer/lr": self._lr(stop), "time/seconds_per_step": seconds}
        others["cost/student_tflop"] = self.progress.flops / 1e12
        self.journal.metrics(stop, **losses, **others)
        self.progress.step, self.progress.loss = stop, means.get("loss", math.nan)
        if stop % every == 0 or stop == self.settings.steps:
            self._evaluate(stop)
        self.report(self.progress)
        return stop

    def _step(self, step: int) -> dict[str, Tensor]:
        batch = self._batch(step)
        torch.manual_seed(derive(self.seed, "dropout", step))
        losses = self.objective.loss(batch, step)
        if not bool(torch.isfinite(losses["loss"])):
            raise Diverged(step, [self.ids[i] for i in batch])
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr(step)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        if self.settings.clip is not None:
            norm = torch.nn.utils.clip_grad_norm_(self.student.parameters(), self.settings.clip)
            if not bool(torch.isfinite(norm)):
                raise Diverged(step, [self.ids[i] for i in batch], "gradient is")
            losses["optimizer/grad_norm"] = norm
        self.optimizer.step()
        return {name: value.detach() for name, value in losses.items()}

    def _check_weights(self, step: int) -> None:
        """Raise `Diverged` if a weight is not finite. A loss only shows this one step later."""
        if step and not all(bool(torch.isfinite(p).all()) for p in self.student.parameters()):
            raise Diverged(step, [self.ids[i] for i in self._batch(step)], "weights are")

    def _batch(self, step: int) -> list[int]:
        """Numbers of the questions of the 1-based `step`."""
        epoch, index = divmod(step - 1, self.epoch_steps)
        if self._order[0] != epoch:
            self._order = (epoch, epoch_order(len(self.ids), self.settings.batch, self.seed, epoch))
        return self._order[1][index]

    def _lr(self, step: int) -> float:
        """Learning rate of the 1-based `step`: linear warm-up, then linear decay to 0."""
        done, warmup, steps = step - 1, self.settings.warmup, self.settings.steps
        if done < warmup:
            return self.settings.lr * (done + 1) / warmup
        return self.settings.lr * max(0.0, (steps - done) / max(1, steps - warmup))

    def _evaluate(self, step: int) -> None:
        self._check_weights(step)
        predictions = {name: evaluate() for name, evaluate in self.evaluators.items()}
        current = {name: accuracy(rows) for name, rows in predictions.items()}
        metrics = {f"accuracy/{name}": value for name, value in current.items()}
        self.journal.metrics(step, **metrics, **self.usage())
        best = self.progress.accuracy
        # Ties go to the earlier step.
        if current["validation"] > best.get("validation", -1.0):
            self.progress.chosen_step = step
            best |= current
            content = {name: [asdict(p) for p in rows] for name, rows in predictions.items()}
            write_json(self._best(step, ".json"), {"step": step, **content})
            tensors.save(self._best(step, ".safetensors"), self.student.weights())
        best["test_last"] = current["test"]
        best["test_best"] = max(current["test"], best.get("test_best", 0.0))

    def _save(self, iteration: int, seconds: float) -> None:
        """Write a checkpoint, then delete the results of steps that no kept checkpoint had chosen."""
        state: dict[str, Tensor] = {}
        if iteration not in self.snapshots.kept:  # else its weights are the newest snapshot
            state |= {f"student.{name}": t for name, t in self.student.weights().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{number}.{key}": t for key, t in moments.items()}
        state |= {f"objective.{name}": t for name, t in self.objective.state().items()}
        metadata = {
            "iteration": iteration,
            "progress": {k: v for k, v in asdict(self.progress).items() if k != "loss"},
            "journal": self.journal.position(),
            "seconds": seconds,
        }
        self._snapshot_files = checkpoint.save(
            self.folder, iteration, state, metadata, self.snapshots.kept, self._snapshot_files
        )
        self._chosen = [*self._chosen, self.progress.chosen_step][-checkpoint.KEPT :]
        for path in self.folder.glob("best-*"):
            if int(path.stem.removeprefix("best-")) not in self._chosen:
                path.unlink()

    def _resume(self) -> int:
        """Load the newest usable checkpoint, or start the journal; returns the iteration to continue with."""
        intact = checkpoint.intact(self.folder)
        usable = (each for each in intact if self._has_best(each.metadata["progress"]))
        newest = next(usable, None)
        if newest is None:
            self.journal.truncate(0)
            self.journal.status("running")
            self.journal.metrics(0, **self.statistics)
            return 0
        metadata = newest.metadata
        iteration: int = metadata["iteration"]
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in newest.tensors.items():
            kind, rest = name.split(".", 1)
            groups.setdefault(kind, {})[rest] = tensor
        self.snapshots.kept, self._snapshot_files = newest.snapshots, newest.names
        for name, tensor in groups.get(
            "snapshot", {}
        ).items():  # of a version that had them in the checkpoint
            number, rest = name.split(".", 1)
            self.snapshots.kept.setdefault(int(number), {})[rest] = tensor
        self.student.set_weights(groups["student"] if "student" in groups else newest.snapshots[iteration])
        load_optimizer(self.optimizer, groups["optimizer"])
        self.objective.load_state(groups.get("objective", {}))
        self.progress = Progress(**metadata["progress"])
        self.spent = metadata["seconds"]
        self._chosen = [self.progress.chosen_step]
        self.journal.truncate(metadata["journal"])
        logger.info("resumed at step %d of %d", self.progress.step, self.settings.steps)
        return iteration

    def _has_best(self, progress: dict[str, Any]) -> bool:
        """Whether weights and predictions of a checkpoint's chosen step exist and are intact."""
        step = progress["chosen_step"]
        if not step:
            return True
        try:
            tensors.load(self._best(step, ".safetensors"))
        except (FileNotFoundError, DamagedTensors) as error:
            logger.warning("%s; using the checkpoint before it", error)
            return False
        return read_json(self._best(step, ".json")) is not None


def _grouped(name: str) -> str:
    """Metric name with its group (a section in MLflow); an objective's values without a group are losses."""
    if name == "loss":
        return "loss/total"
    return name if "/" in name else f"loss/{name}"
