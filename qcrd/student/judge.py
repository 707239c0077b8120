"""Training the discriminator, and asking it (section 3.3.1, appendix A.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from qcrd import config
from qcrd.errors import Diverged
from qcrd.losses.discriminator import discriminator_loss
from qcrd.rationales.augment import Augmenter
from qcrd.student.batches import derive, epoch_order
from qcrd.student.discriminator import Discriminator, within_question_auc
from qcrd.student.model import tokenise
from qcrd.student.weights import set_weights, weights
from qcrd.types import RationaleSet

Tokens = list[int]

REMEDY = "lower discriminator.lr, or set discriminator.loss: bounded, which has a lower bound"


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question as the discriminator sees it."""

    text: Tokens  # the question, with its end-of-sequence token
    positives: list[Tokens]  # distinct, each with its end-of-sequence token
    negatives: list[Tokens]


class Judge:
    """The discriminator with its optimiser and the scores that it has already given."""

    def __init__(self, model: Discriminator, section: config.Discriminator, seed: int):
        self.model = model
        self.section = section
        self.seed = seed
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=section.lr, weight_decay=0.0, fused=True)
        self._known: dict[tuple[int, tuple[int, ...]], float] = {}

    def pretrain(self, questions: Sequence[JudgedQuestion]) -> dict[str, float]:
        """Train on the teacher's rationales and the augmented negatives; returns loss and AUC at the end."""
        steps = self.section.pretrain_steps
        return self._train(questions, steps, self.section.lr, 1.0, "pretrain", decay_to_zero=True)

    def update(self, questions: Sequence[JudgedQuestion], iteration: int) -> dict[str, float]:
        """A few steps on the iteration's rationales, self-play included.

        Eq. 8's alpha3 scales the loss and decays by 0.9 an iteration; since AdamW is blind to a loss's
        scale, the learning rate decays by the same factor (A.2: "a decayed learning rate").
        """
        factor = self.section.decay**iteration
        lr = self.section.lr * factor
        alpha = self.section.alpha3 * factor
        self._known.clear()
        return self._train(questions, self.section.update_steps, lr, alpha, f"update-{iteration}")

    def quality(self, rows: Sequence[tuple[int, Tokens, Tokens]]) -> Tensor:
        """s of (question number, question, rationale) rows; scores are kept until the next update."""
        keys = [(number, tuple(rationale)) for number, _, rationale in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}
        scores = self.model.quality([text + rationale for _, text, rationale in new.values()])
        self._known.update(zip(new, scores.tolist(), strict=True))
        return torch.tensor([self._known[key] for key in keys], device=scores.device)

    def _train(
        self,
        questions: Sequence[JudgedQuestion],
        steps: int,
        lr: float,
        alpha: float,
        purpose: str,
        decay_to_zero: bool = False,
    ) -> dict[str, float]:
        usable = [q for q in questions if q.positives and q.negatives]
        if not usable or steps == 0:
            return {}
        self.model.train()
        torch.manual_seed(derive(self.seed, "discriminator", purpose, "dropout"))
        order_seed = derive(self.seed, "discriminator", purpose)
        losses, aucs, step, epoch = [], [], 0, 0
        while step < steps:
            for batch in epoch_order(len(usable), self.section.batch, order_seed, epoch):
                if step == steps:
                    break
                rate = lr * (1 - step / steps) if decay_to_zero else lr
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                rows, positive, question = _rows([usable[i] for i in batch], self.model.center.device)
                score = self.model(rows)
                loss = discriminator_loss(score, positive, question, len(batch), self.section.loss)
                self.optimizer.zero_grad(set_to_none=True)
                if not bool(torch.isfinite(loss)):
                    raise Diverged(step + 1, [], f"the discriminator's loss ({purpose}) is", REMEDY)
                (alpha * loss).backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                self.model.recenter(score.detach(), positive)
                losses.append(float(loss.detach()))
                aucs.append(within_question_auc(score.detach(), positive, question))
                step += 1
            epoch += 1
        # The last fifth: on rows that were just trained on, but before each of their steps.
        tail = max(1, len(losses) // 5)
        return {"loss": sum(losses[-tail:]) / tail, "auc": sum(aucs[-tail:]) / tail}

    def state(self) -> dict[str, Tensor]:
        """Everything a resumed training needs."""
        tensors = {f"model.{name}": t for name, t in weights(self.model).items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{key}": t for key, t in state.items()}
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        set_weights(self.model, _strip(tensors, "model."))
        load_optimizer(self.optimizer, _strip(tensors, "optimizer."))
        self._known.clear()


def judged(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    sets: Sequence[RationaleSet],
    lengths: config.Student,
) -> list[JudgedQuestion]:
    """The questions and their sets' distinct rationales as tokens."""
    return [
        JudgedQuestion(
            text,
            tokenise(tokenizer, list(dict.fromkeys(group.positives)), lengths.max_rationale),
            tokenise(tokenizer, list(dict.fromkeys(group.negatives)), lengths.max_rationale),
        )
        for text, group in zip(tokenise(tokenizer, texts, lengths.max_input), sets, strict=True)
    ]


def augmented(sets: Sequence[RationaleSet], section: config.Discriminator, seed: int) -> list[RationaleSet]:
    """The sets with `section.augment` changed copies of each distinct positive among the negatives."""
    # Cells that share a judge may differ in whether they keep questions without positives; no word of those.
    corpus = (r for s in sets if s.positives for r in (*s.positives, *s.negatives))
    augment = Augmenter(corpus, section.augmentation)
    random = Random(derive(seed, "augment"))
    result = []
    for group in sets:
        distinct = dict.fromkeys(group.positives)
        made = [augment(positive, random) for positive in distinct for _ in range(section.augment)]
        wrong = tuple(text for text in made if text is not None and text not in distinct)
        result.append(replace(group, negatives=group.negatives + wrong))
    return result


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Write moments saved as `<parameter number>.<name>` into an optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _rows(questions: Sequence[JudgedQuestion], device: torch.device):
    rows, positive, question = [], [], []
    for number, q in enumerate(questions):
        for kind, group in ((True, q.positives), (False, q.negatives)):
            rows += [q.text + rationale for rationale in group]
            positive += [kind] * len(group)
            question += [number] * len(group)
    return rows, torch.tensor(positive, device=device), torch.tensor(question, device=device)


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
