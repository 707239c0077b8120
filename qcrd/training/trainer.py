"""The training loop: iterations of steps, evaluated now and then, resumable at iteration boundaries.

All randomness comes from the cell's seed and a step or iteration number, never from a running stream, so
that a resumed training is the same training.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

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
CHECKPOINT_SHARE = 0.05  # of the time may go into checkpoints
CHECKPOINT_SECONDS = 5.0  # at least so long between two
WEIGHTS = "student.safetensors"

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    steps: int = 0
    loss: float = math.nan  # mean since the last report
    flops: int = 0  # of training so far, evaluation left out; see `qcrd.student.flops`
    chosen_step: int = 0  # step with the best validation accuracy so far
    accuracy: dict[str, float] = field(default_factory=dict)  # validation, test, test_last, test_best


class Trainer:
    """Trains one student on one objective.

    Files in `folder`: journal, checkpoints while it runs, and from the chosen step the weights and the
    predictions.
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
        """`ids` name the training questions; `evaluators` are for "validation" and "test".

        `statistics` open the journal; `usage` says at each evaluation how busy the machine is.
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
            fused=True,  # a fifth of the time on a CPU too
        )
        self.snapshots = Snapshots(objective.lag)
        self.progress = Progress(steps=settings.steps)
        self.statistics, self.usage = statistics, usage
        self.spent = 0.0  # seconds of earlier attempts up to their checkpoint
        self._chosen: list[int] = []  # steps that the kept checkpoints had chosen
        self._order: tuple[int, list[list[int]]] = (-1, [])

    def run(self) -> Progress:
        """Train to the last step, from the newest checkpoint where there is one.

        Raises:
            Diverged: where a loss, a gradient or a weight is no longer finite.
        """
        begun = time.monotonic()
        try:
            self._train(self._resume(), begun)
        finally:
            self.spent += time.monotonic() - begun
        for name, ending in ((PREDICTIONS, ".json"), (WEIGHTS, ".safetensors")):
            with atomic(self.folder / name) as temporary:
                shutil.copyfile(self._best(self.progress.chosen_step, ending), temporary)
        return self.progress

    def _train(self, iteration: int, begun: float) -> None:
        saved, cost, step = begun, 0.0, self.progress.step
        while step < self.settings.steps:
            self._check_weights(step)  # none other may become a snapshot or a checkpoint
            self.snapshots.take(iteration, self.student)
            waited = time.monotonic() - saved
            if iteration and waited > max(CHECKPOINT_SECONDS, cost / CHECKPOINT_SHARE):
                self._save(iteration, self.spent + time.monotonic() - begun)
                cost, saved = time.monotonic() - saved - waited, time.monotonic()
            end = min(step + self.iteration_steps, self.settings.steps)
            coming = sorted({i for now in range(step + 1, end + 1) for i in self._batch(now)})
            done = flops.total()
            figures = self.objective.begin_iteration(iteration, self.snapshots, coming)
            self.progress.flops += flops.total() - done
            if figures:
                self.journal.metrics(step, **{"time/iteration": iteration}, **figures)
            while step < end:
                step = self._steps(step, end)
            iteration += 1

    def _best(self, step: int, ending: str) -> Path:
        # One file a step: a killed attempt may have been further than the checkpoint that is gone on from.
        return self.folder / f"best-{step:08d}{ending}"

    def _steps(self, step: int, end: int) -> int:
        """Train up to the next log line, evaluation or `end`; returns the step reached."""
        every = self.settings.evaluate_every
        stop = min(end, (step // LOG_EVERY + 1) * LOG_EVERY, (step // every + 1) * every)
        begun, done = time.monotonic(), flops.total()
        sums: dict[str, Tensor] = {}
        counts: dict[str, Tensor] = {}
        self.student.train()
        for now in range(step + 1, stop + 1):
            for name, value in self._step(now).items():
                number = torch.nan_to_num(value.float())
                sums[name] = sums.get(name, 0.0) + number
                counts[name] = counts.get(name, 0.0) + (~torch.isnan(value)).float()
        means = {name: float(sums[name] / counts[name]) for name in sums if float(counts[name])}
        seconds = (time.monotonic() - begun) / (stop - step)
        self.progress.flops += flops.total() - done
        figures = {_grouped(name): value for name, value in means.items()}
        rest = {"optimizer/lr": self._lr(stop), "time/seconds_per_step": seconds}
        rest["cost/student_tflop"] = self.progress.flops / 1e12
        self.journal.metrics(stop, **figures, **rest)
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
        """What writes and is kept must be numbers; a loss shows that one step too late."""
        if step and not all(bool(torch.isfinite(p).all()) for p in self.student.parameters()):
            raise Diverged(step, [self.ids[i] for i in self._batch(step)], "weights are")

    def _batch(self, step: int) -> list[int]:
        epoch, place = divmod(step - 1, self.epoch_steps)
        if self._order[0] != epoch:
            self._order = (epoch, epoch_order(len(self.ids), self.settings.batch, self.seed, epoch))
        return self._order[1][place]

    def _lr(self, step: int) -> float:
        """Learning rate of the 1-based `step`: linear warm-up, then linear decay to 0."""
        done, warmup, steps = step - 1, self.settings.warmup, self.settings.steps
        if done < warmup:
            return self.settings.lr * (done + 1) / warmup
        return self.settings.lr * max(0.0, (steps - done) / max(1, steps - warmup))

    def _evaluate(self, step: int) -> None:
        self._check_weights(step)
        found = {name: evaluate() for name, evaluate in self.evaluators.items()}
        now = {name: accuracy(predictions) for name, predictions in found.items()}
        shown = {f"accuracy/{name}": value for name, value in now.items()}
        self.journal.metrics(step, **shown, **self.usage())
        best = self.progress.accuracy
        # The first of equals: a later step has to be better to be chosen.
        if now["validation"] > best.get("validation", -1.0):
            self.progress.chosen_step = step
            best |= now
            predictions = {name: [asdict(p) for p in rows] for name, rows in found.items()}
            write_json(self._best(step, ".json"), {"step": step, **predictions})
            tensors.save(self._best(step, ".safetensors"), self.student.weights())
        best["test_last"] = now["test"]
        best["test_best"] = max(now["test"], best.get("test_best", 0.0))

    def _save(self, iteration: int, seconds: float) -> None:
        state = {f"student.{name}": t for name, t in self.student.weights().items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{number}.{key}": t for key, t in moments.items()}
        state |= {f"objective.{name}": t for name, t in self.objective.state().items()}
        for number, snapshot in self.snapshots.kept.items():
            state |= {f"snapshot.{number}.{name}": t for name, t in snapshot.items()}
        facts = {
            "iteration": iteration,
            "progress": {k: v for k, v in asdict(self.progress).items() if k != "loss"},
            "journal": self.journal.position(),
            "seconds": seconds,
        }
        checkpoint.save(self.folder, iteration, state, facts)
        self._chosen = [*self._chosen, self.progress.chosen_step][-checkpoint.KEPT :]
        for path in self.folder.glob("best-*"):
            if int(path.stem.removeprefix("best-")) not in self._chosen:
                path.unlink()

    def _resume(self) -> int:
        usable = (found for found in checkpoint.whole(self.folder) if self._has_best(found[1]["progress"]))
        found = next(usable, None)
        if found is None:
            self.journal.truncate(0)
            self.journal.status("running")
            self.journal.metrics(0, **self.statistics)
            return 0
        state, facts = found
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            kind, rest = name.split(".", 1)
            groups.setdefault(kind, {})[rest] = tensor
        self.student.set_weights(groups["student"])
        load_optimizer(self.optimizer, groups["optimizer"])
        self.objective.load_state(groups.get("objective", {}))
        for name, tensor in groups.get("snapshot", {}).items():
            number, rest = name.split(".", 1)
            self.snapshots.kept.setdefault(int(number), {})[rest] = tensor
        self.progress = Progress(**facts["progress"])
        self.spent = facts["seconds"]
        self._chosen = [self.progress.chosen_step]
        self.journal.truncate(facts["journal"])
        logger.info("resumed at step %d of %d", self.progress.step, self.settings.steps)
        return facts["iteration"]

    def _has_best(self, progress: dict) -> bool:
        """Whether what the checkpoint says was best so far is there and whole."""
        step = progress["chosen_step"]
        if not step:
            return True
        try:
            tensors.load(self._best(step, ".safetensors"))
        except (FileNotFoundError, DamagedTensors) as error:
            logger.warning("%s; the checkpoint before it serves", error)
            return False
        return read_json(self._best(step, ".json")) is not None


def _grouped(name: str) -> str:
    """What an objective returns without a group of its own is a loss; groups are sections in MLflow."""
    if name == "loss":
        return "loss/total"
    return name if "/" in name else f"loss/{name}"
