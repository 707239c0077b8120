"""Training the discriminator, and asking it (section 3.3.1, appendix A.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isnan

import torch
from torch import Tensor

from qcrd import config
from qcrd.discriminator.model import Discriminator, within_question_auc
from qcrd.discriminator.questions import SOURCES, DiscriminatorQuestion, Rows, Tokens, chunks
from qcrd.errors import Diverged
from qcrd.losses.discriminator import discriminator_loss
from qcrd.seeds import derive, epoch_order
from qcrd.student.weights import set_weights, weights

REMEDY = "lower discriminator.lr, or set discriminator.loss: bounded, which has a lower bound"
MOST_KNOWN = 200_000  # scores that are kept: what the student writes in a long training is asked about once


class DiscriminatorTrainer:
    """The discriminator with its optimiser and the scores that it has already given.

    Attributes:
        figures: of the last pretraining or update; see `_figures`.
        updates: how many iterations have updated it.
    """

    def __init__(
        self,
        model: Discriminator,
        section: config.Discriminator,
        seed: int,
        held: Sequence[DiscriminatorQuestion] = (),
    ):
        """`held` are the questions that are held out of its training, to measure and to calibrate it."""
        self.model = model
        self.section = section
        self.seed = seed
        self.held = held
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=section.lr, weight_decay=0.0, fused=True)
        self.updates = 0
        self.figures: dict[str, float] = {}
        self._known: dict[tuple[int, tuple[int, ...]], float] = {}

    def pretrain(self, questions: Callable[[int], Sequence[DiscriminatorQuestion]]) -> dict[str, float]:
        """Train on the teacher's rationales and the augmented negatives; returns `figures`.

        `questions` gives those of an epoch. Augmented negatives made anew for each are many times the data:
        the discriminator cannot learn them by heart.
        """
        steps = self.section.pretrain_steps
        return self._train(questions, self.held, steps, self.section.lr, 1.0, "pretrain", decay_to_zero=True)

    def update(self, questions: Sequence[DiscriminatorQuestion], iteration: int) -> dict[str, float]:
        """A few steps on the iteration's rationales, self-play included; returns `figures`.

        Eq. 8's alpha3 scales the loss and decays by 0.9 an iteration; since AdamW is blind to a loss's
        scale, the learning rate decays by the same factor (A.2: "a decayed learning rate"). Below
        `min_factor` of the rate an update would move next to nothing at the cost of the first; there is none.
        """
        factor = self.section.decay**iteration
        if factor < self.section.min_factor:
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            return {}
        self._known.clear()
        played = {tuple(q.text): q.played for q in questions if q.held_out}
        found = self._train(
            lambda _: questions,
            [replace(q, played=played.get(tuple(q.text), ())) for q in self.held],
            self.section.update_steps,
            self.section.lr * factor,
            self.section.alpha3 * factor,
            f"update-{iteration}",
        )
        self.updates += bool(found)
        return found

    def quality(self, rows: Sequence[tuple[int, Tokens, Tokens]]) -> Tensor:
        """s of (question number, question, rationale) rows; scores are kept until the next update."""
        keys = [(number, tuple(rationale)) for number, _, rationale in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}
        scores = self.model.quality([text + rationale for _, text, rationale in new.values()])
        self._known.update(zip(new, scores.tolist(), strict=True))
        return torch.tensor([self._known[key] for key in keys], device=scores.device)

    def _train(
        self,
        questions: Callable[[int], Sequence[DiscriminatorQuestion]],
        held: Sequence[DiscriminatorQuestion],
        steps: int,
        lr: float,
        alpha: float,
        purpose: str,
        decay_to_zero: bool = False,
    ) -> dict[str, float]:
        usable = _usable(questions(0)) if steps else []
        if not usable:
            return {}
        self.model.train()
        torch.manual_seed(derive(self.seed, "discriminator", purpose, "dropout"))
        order_seed = derive(self.seed, "discriminator", purpose)
        found: list[tuple[float, Tensor, Rows]] = []
        step, epoch = 0, 0
        tail = steps - max(1, steps // 5)  # rows that were just trained on, but before each of their steps
        while step < steps:
            for batch in epoch_order(len(usable), self.section.batch, order_seed, epoch):
                if step == steps:
                    break
                rate = lr * (1 - step / steps) if decay_to_zero else lr
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                rows = Rows.of([usable[i] for i in batch], self.model.center.device)
                self.optimizer.zero_grad(set_to_none=True)
                loss, score = self.backward([usable[i] for i in batch], alpha, step, purpose)
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                self.model.recenter(score, rows.positive)
                if step >= tail:
                    found.append((loss, score, rows))
                step += 1
            epoch += 1
            if step < steps:
                usable = _usable(questions(epoch)) or usable
        self.figures = self._figures(found, Rows.of(held, self.model.center.device))
        return dict(self.figures)

    def backward(
        self, batch: Sequence[DiscriminatorQuestion], alpha: float = 1.0, step: int = 0, purpose: str = "step"
    ) -> tuple[float, Tensor]:
        """Add the gradient of alpha times a batch's loss, in chunks of at most `max_tokens`.

        The loss is a mean over questions, so the chunks' losses, weighted by their questions, add up to it.

        Args:
            batch: questions with both kinds of rationales.
            alpha: factor on the loss.
            step: 0-based, for errors.
            purpose: for errors.

        Returns:
            The loss without alpha, and the raw scores in the order of `Rows.of(batch)`.

        Raises:
            Diverged: where the loss is not finite.
        """
        total, scores = 0.0, []
        for chunk in chunks(batch, self.section.max_tokens):
            rows = Rows.of(chunk, self.model.center.device)
            score = self.model(rows.tokens)
            loss = discriminator_loss(score, rows.positive, rows.question, len(chunk), self.section.loss)
            loss = loss * (len(chunk) / len(batch))
            if not bool(torch.isfinite(loss)):
                raise Diverged(step + 1, [], f"the discriminator's loss ({purpose}) is", REMEDY)
            (alpha * loss).backward()
            total += float(loss.detach())
            scores.append(score.detach())
        return total, torch.cat(scores)

    def _figures(self, trained: Sequence[tuple[float, Tensor, Rows]], held: Rows) -> dict[str, float]:
        """Calibrate; what the last fifth of the steps came to, and how held-out questions fare.

        loss; auc, within questions over all negatives, and auc_teacher, auc_augmented, auc_selfplay;
        s_positive, s_teacher, s_augmented, s_selfplay, the means of s. The same with _held_out. Where there
        are no such rationales the figure is left out.
        """
        unseen = self.model.score(held.tokens)
        teacher = held.positive | (held.source == SOURCES.index("teacher"))
        sides = held.positive[teacher]
        if self.section.calibration == "held_out" and bool(sides.any()) and not bool(sides.all()):
            self.model.calibrate(unseen[teacher], sides)
        found: dict[str, list[float]] = {}
        for loss, score, rows in trained:
            found.setdefault("loss", []).append(loss)
            for name, value in self._rated(score, rows).items():
                found.setdefault(name, []).append(value)
        means = {name: sum(values) / len(values) for name, values in found.items()}
        return means | {f"{name}_held_out": value for name, value in self._rated(unseen, held).items()}

    def _rated(self, score: Tensor, rows: Rows) -> dict[str, float]:
        """Within-question AUC and mean s by source."""
        quality = self.model.weigh(score)
        found = {"auc": within_question_auc(score, rows.positive, rows.question)}
        for number, name in enumerate(SOURCES):
            there = rows.source == number
            if bool(there.any()):
                found[f"s_{name}"] = float(quality[there].mean())
            if number:
                either = there | rows.positive
                found[f"auc_{name}"] = within_question_auc(
                    score[either], rows.positive[either], rows.question[either]
                )
        return {name: value for name, value in found.items() if not isnan(value)}

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed training needs."""
        tensors = {f"model.{name}": t for name, t in weights(self.model).items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{key}": t for key, t in state.items()}
        tensors["updates"] = torch.tensor(self.updates)
        tensors |= {
            f"figures.{name}": torch.tensor(v, dtype=torch.double) for name, v in self.figures.items()
        }
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        set_weights(self.model, _strip(tensors, "model."))
        load_optimizer(self.optimizer, _strip(tensors, "optimizer."))
        self.updates = int(tensors["updates"])
        self.figures = {name: float(t) for name, t in _strip(tensors, "figures.").items()}
        self._known.clear()


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Write moments saved as `<parameter number>.<name>` into an optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _usable(questions: Sequence[DiscriminatorQuestion]) -> list[DiscriminatorQuestion]:
    return [q for q in questions if q.two_sided and not q.held_out]


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
