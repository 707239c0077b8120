"""QCRD: quality-guided contrastive rationale distillation (section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qcrd import config
from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, Chosen, choose, contrastive_loss, hinge
from qcrd.losses.weights import Weighed, weigh
from qcrd.objectives.base import Ingredients, Stateless
from qcrd.objectives.discriminator_input import DiscriminatorInput
from qcrd.objectives.questions import Passes, RationaleRows, TrainingQuestion, token_weights
from qcrd.objectives.rationale_pool import RationalePool
from qcrd.objectives.tally import SELFPLAY, Tally
from qcrd.objectives.targets import RationaleTargets, no_loss
from qcrd.objectives.written import Reader, Written
from qcrd.seeds import derive
from qcrd.student.base import Tokens
from qcrd.student.selfplay import Snapshots, ended, self_play


class Contrastive(Stateless):
    """alpha1 * L_pred + alpha2 * L_cl (Eq. 8); L_D has its own optimiser, since it shares no parameter.

    A step encodes each question once per task prefix, runs all rationales that a scheme must compare through
    the decoder once, without gradient, and differentiates only the chosen ones, whose forward pass is not
    repeated (see `qcrd.student.t5.replay`). The choice is made under the step's dropout, as where each
    rationale has a pass of its own.

    With sequences (`student.targets`) the loss is L_cl alone, over whole sequences of rationale, cue and
    label. The discriminator judges their rationales.
    """

    def __init__(self, given: Ingredients):
        student, lengths = given.student, given.lengths
        self.student = student
        self.settings, self.selfplay = given.contrastive, given.selfplay
        self.scheme = SCHEMES[given.contrastive.scheme]
        self.alpha1, self.alpha2 = given.training.alpha1, given.training.alpha2
        self.targets, self.seed = RationaleTargets.of(given), given.seed
        self.discriminator, self.discriminator_questions = given.discriminator, given.discriminator_questions
        self.weighed = Weighed(student.device)
        self.predict = student.prompts("predict", [q.text for q in given.questions], lengths.max_input)
        self.explain = student.prompts(
            self.targets.kind, [q.text for q in given.questions], lengths.max_input
        )
        self.labels = student.completions(given.labels, lengths.max_label)
        self.pool = RationalePool(given)
        self.tally = Tally(given.contrastive.delta, student.device)
        self.played: list[list[Tokens]] = [[] for _ in given.sets]
        self.lag = given.selfplay.lag if given.selfplay.k else 0
        self.input: DiscriminatorInput | None = None
        if given.discriminator is not None:
            tokenizer = given.discriminator.model.tokenizer
            self.input = DiscriminatorInput(tokenizer, given, self.pool.rationales())
        texts = self.input is not None and self.input.by_text
        self.reader = Reader(given, self.pool.learnable(), texts) if self.lag else None
        # In self-play: completions; see `_shares`
        self.drawn = torch.zeros(5 if self.targets.sequence else 4, dtype=torch.float64)

    def begin_iteration(
        self, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        """Select positives, draw self-play negatives for the coming questions, update the discriminator."""
        figures = self.pool.begin_iteration(iteration, coming)
        if self.reader is not None:
            figures |= self._play(self.reader, iteration, snapshots, coming)
        if self.discriminator is not None and self.input is not None:
            questions = [
                replace(self.discriminator_questions[i], played=self.input.written(i)) for i in coming
            ]
            found = self.discriminator.update(questions, iteration)
            figures |= {f"discriminator/{name}": value for name, value in found.items()}
        return figures

    def _play(
        self, reader: Reader, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        # A question without positives is out of the contrastive loss, so nothing is played for it.
        contrasted = [i for i in coming if self.pool.positives[i]]
        rows, limit = [self.explain[i] for i in contrasted], self.targets.limit
        with self.student.carrying(snapshots.before(iteration)):
            drawn = self_play(self.student, rows, self.selfplay, limit, self.seed, iteration)
        written = [Written() for _ in self.played]
        counts = torch.zeros_like(self.drawn)
        for i, group in zip(contrasted, drawn, strict=True):
            written[i] = read = reader(i, group)
            cut = sum(not ended(r, limit) for r in group)
            numbers = [len(group), sum(map(len, group)), len(group) - cut, read.equal, read.right]
            counts += torch.tensor(numbers[: len(counts)])
        self.drawn += counts
        self.played = [each.negatives for each in written]
        if self.input is not None:
            self.input.play(written)
        return _shares(counts)

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """The student's total loss on a batch, with its parts."""
        settings, device = self.settings, self.student.device
        questions = [self._question(i) for i in batch]
        contrasted = [q for q in questions if q.positives]
        labelled = [] if self.targets.sequence else questions
        if not labelled and not contrasted:
            return {"loss": no_loss(self.student)}
        prompts = self.student.read([q.predict for q in labelled] + [q.explain for q in contrasted])
        rows = RationaleRows.of(contrasted, settings.key_weight, device)
        passes = Passes.of([q.label for q in labelled], rows)

        scored, values = None, None
        if self.scheme.needs_values:
            scored = self.student.score(prompts, passes.source, passes.completions, passes.weights)
            values = scored.values[torch.tensor(passes.of_row, dtype=torch.long, device=device)]
        generator = torch.Generator().manual_seed(derive(self.seed, "scheme", step))
        every_choice = choose(rows.candidates, values, self.scheme, settings.delta, generator)
        chosen = self._acting(every_choice, values)

        picked = chosen.row.tolist()
        wanted, place = passes.differentiated(picked)
        if scored is not None:
            each = scored.differentiable(wanted)
        else:
            each = self.student.cross_entropy(prompts, *passes.some(wanted))
        predict = each[: len(labelled)].mean()
        loss = each[torch.tensor(place, dtype=torch.long, device=device)]  # [C] of the chosen rationales
        weight = self._weights(contrasted, rows, chosen, loss, step)
        contrast, parts = contrastive_loss(
            rows.candidates, chosen, loss, weight, settings.beta, settings.delta, settings.negative
        )

        if values is not None:  # all that were chosen, not only those that had to be differentiated
            wrong = every_choice.row[~every_choice.positive]
            considered, negative = values[wrong], ~rows.candidates.positive
            parts |= self.tally.add(considered, rows.origin[wrong], (values[negative], rows.origin[negative]))
        else:
            considered = loss[~chosen.positive].detach()
            parts |= self.tally.add(considered, rows.origin[chosen.row[~chosen.positive]])
        parts["negative"] = considered.mean()
        if weight is not None:
            played = rows.origin[chosen.row] == SELFPLAY
            parts |= self.weighed(weight, chosen.positive, played & ~chosen.positive, settings.beta)
        if self.targets.sequence:
            return {"loss": contrast, "contrastive": contrast.detach(), **parts}
        total = self.alpha1 * predict + self.alpha2 * contrast
        return {"loss": total, "predict": predict.detach(), "contrastive": contrast.detach(), **parts}

    def _question(self, number: int) -> TrainingQuestion:
        pool = self.pool
        return TrainingQuestion(
            number,
            self.predict[number],
            self.explain[number],
            self.labels[number],
            pool.positives[number],
            pool.negatives[number],
            self.played[number],
        )

    def _acting(self, chosen: Chosen, values: Tensor | None) -> Chosen:
        """The choice without negatives that have no gradient: those beyond the margin, or all at beta 0."""
        if self.settings.beta == 0:
            keep = chosen.positive
        elif values is None:
            return chosen
        else:
            keep = chosen.positive | (hinge(values[chosen.row], self.settings.delta) > 0)
        return Chosen(chosen.row[keep], chosen.coefficient[keep], chosen.positive[keep])

    def _weights(
        self,
        questions: Sequence[TrainingQuestion],
        rows: RationaleRows,
        chosen: Chosen,
        loss: Tensor,
        step: int,
    ) -> Tensor | None:
        """[C] what the discriminator weighs each chosen rationale with; None without one."""
        if self.discriminator is None or self.input is None:
            return None
        asked = []
        for row in chosen.row.tolist():
            number = questions[rows.question[row]].number
            rationale = self.input.rationale(number, rows.tokens[row])
            asked.append((number, self.discriminator_questions[number].text, rationale))
        quality = self.discriminator.quality(asked)
        if not self.scheme.weighted:
            return None
        acts = chosen.positive | (hinge(loss.detach(), self.settings.delta) > 0)
        shuffle = torch.Generator().manual_seed(derive(self.seed, "weights", step))
        return weigh(quality, chosen.positive, acts, self.discriminator.section.weights, shuffle)

    @staticmethod
    def shares(
        cell: config.Cell, sides: Sequence[bool | None], likelihoods: Tensor | None
    ) -> list[float] | None:
        """What the scheme gives each rationale, by these likelihoods."""
        scheme = SCHEMES[cell.contrastive.scheme]
        if not any(sides):
            return [0.0 for _ in sides]  # the question is out of the contrastive loss
        if scheme.draws or (scheme.needs_values and likelihoods is None):
            return None
        offered = torch.tensor([row for row, side in enumerate(sides) if side is not None])
        positive = torch.tensor([side for side in sides if side is not None])
        candidates = Candidates(torch.zeros(len(positive), dtype=torch.long), positive, 1)
        values = likelihoods[offered] if likelihoods is not None else None
        chosen = choose(candidates, values, scheme, cell.contrastive.delta, torch.Generator())
        share = torch.zeros(len(sides))
        share[offered[chosen.row]] = chosen.coefficient.float()
        return [float(value) for value in share]

    @staticmethod
    def token_weights(
        cell: config.Cell, positives: Sequence[Sequence[int]], negatives: Sequence[Sequence[int]]
    ) -> list[list[float]] | None:
        """Tokens that set the two sides apart count `contrastive.key_weight`."""
        return token_weights(positives, negatives, cell.contrastive.key_weight)

    def figures(self) -> dict[str, float]:
        """What its negatives and weights were over the whole training, and the discriminator at its end."""
        found = self.tally.figures() | (_shares(self.drawn) if self.lag else {})
        if self.discriminator is None:
            return found
        of_discriminator = {"updates": self.discriminator.updates, **self.discriminator.figures}
        found |= {f"discriminator/{name}": value for name, value in of_discriminator.items()}
        return found | self.weighed.figures(self.settings.beta)

    def state(self) -> dict[str, Tensor]:
        """The discriminator's, and what was counted so far."""
        state = self.discriminator.state() if self.discriminator is not None else {}
        return {**state, **self.tally.state(), "selfplay": self.drawn, "weighed": self.weighed.totals}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        self.tally.load_state(tensors)
        self.drawn = tensors["selfplay"].to(self.drawn)
        self.weighed.totals.copy_(tensors["weighed"])
        if self.discriminator is not None:
            self.discriminator.load_state(tensors)


def _shares(drawn: Tensor) -> dict[str, float]:
    """Of counts of completions, their tokens, those that ended by themselves, those equal to a positive, and
    in sequences those whose label is right."""
    count, *rest = drawn.tolist()
    names = ("tokens", "ended", "equal_positive", "right")[: len(rest)]
    return {f"selfplay/{name}": value / max(count, 1) for name, value in zip(names, rest, strict=True)}
