"""How much a cell computes, counted before its first step from settings alone.

As `qcrd.student.flops` counts it afterwards: 2 FLOP for each weight of a linear layer and token forwards, and
4 more backwards. With w_e, w_x, w_d and w_h the weights that an input's token meets in the encoder and in the
decoder's keys and values, and a target's token in the decoder and its head (`Shape`), and q, y, r the mean
tokens of question, label and rationale, a question costs in one step

    finetuning   6 (q (w_e + w_x) + y (w_d + w_h))
    single_task  the same with rationale and label for y
    dss          6 (2 q (w_e + w_x) + (y + r) (w_d + w_h))
    qcrd         6 2 q (w_e + w_x) + 2 (y + (m + k) r) (w_d + w_h) + (y + c r) (4 w_d + 6 w_h)

where c rationales are chosen: all m + k of mean and wmean (which score none first: 6 (y + c r) (w_d + w_h)),
two of the other schemes. To that come, for each iteration, its self-play, k rationales a question, and the
discriminator's updates; and all evaluations. All samples are taken to be readable, different and in the loss,
so a training computes no more than this, but for self-play that writes longer rationales than the teacher's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qcrd.cell.identity import needs_discriminator
from qcrd.config import Cell
from qcrd.errors import ConfigError
from qcrd.grid.plan.shapes import Shape, parameters, shape
from qcrd.grid.plan.sizes import Sizes, sizes
from qcrd.methods import METHODS
from qcrd.student.t5.limits import RECORDED
from qcrd.student.tokenizer import load_tokenizer, own_word_tokenizer

COUNTED = ("finetuning", "single_task", "dss", "qcrd")
ONE_A_SIDE = ("minmax", "maxmin", "sampling")  # schemes that choose one positive and one negative


@dataclass(frozen=True, slots=True)
class Flops:
    """Of one cell, by how they are computed."""

    steps: float = 0.0  # the student's losses, both directions
    written: float = 0.0  # self-play, token by token
    judged: float = 0.0  # updates of the discriminator, and its scores
    evaluated: float = 0.0  # answers to validation and test questions, token by token

    @property
    def training(self) -> float:
        """What a record's `cost/student_tflop` counts, in FLOP."""
        return self.steps + self.written + self.judged


def flops(cell: Cell) -> Flops | None:
    """Of the cell's training; None where method, data or a model's shape is not known here."""
    of, student = sizes(cell), _student(cell)
    if of is None or student is None or cell.method not in COUNTED:
        return None
    judge = _judge(cell) if needs_discriminator(cell) else None
    if needs_discriminator(cell) and judge is None:
        return None
    training = cell.training
    batch = min(training.batch, of.train)
    epoch = math.ceil(of.train / batch)
    whole, rest = divmod(training.steps, epoch)
    seen = whole * of.train + rest * batch  # questions; the last batch of an epoch may be smaller
    found = Flops(
        steps=seen * _question(cell, of, student),
        evaluated=math.ceil(training.steps / training.evaluate_every) * _evaluation(cell, of, student),
    )
    if not METHODS[cell.method].contrasts:
        return found
    length = training.iteration or epoch
    starts = range(0, training.steps, length)
    coming = sum(min(of.train, batch * min(length, training.steps - start)) for start in starts)
    return Flops(
        found.steps,
        coming * _selfplay(cell, of, student),
        _judging(cell, of, judge, len(starts), seen) if judge else 0.0,
        found.evaluated,
    )


def pretraining(cell: Cell) -> float:
    """FLOP of the discriminator that the cell needs before it is trained; cells share them. 0 where none."""
    of, judge = sizes(cell), _judge(cell)
    if not needs_discriminator(cell) or of is None or judge is None:
        return 0.0
    section, m = cell.discriminator, cell.rationales.m
    rows = m * (1 + section.augment)  # were all samples positives
    batch = min(section.batch, of.train)
    return 6.0 * section.pretrain_steps * batch * rows * (of.question + of.rationale) * judge.encoder


def sampling(cell: Cell, samples: int) -> float | None:
    """FLOP of drawing samples from the cell's teacher, prompts read once for each; None where not known."""
    of, weights = sizes(cell), parameters(cell.teacher)
    if of is None or weights is None:
        return None
    return 2.0 * weights * samples * (of.prompt + of.answer)


def _question(cell: Cell, of: Sizes, shape: Shape) -> float:
    """One question in one step, both directions."""
    read = of.question * (shape.encoder + shape.cross)
    write = shape.decoder + shape.head
    method = METHODS[cell.method]
    if method.writes == "sequence":
        return 6 * (read + of.both * write)
    if not method.explains:
        return 6 * (read + of.label * write)
    if not method.contrasts:
        return 6 * (2 * read + (of.label + of.rationale) * write)
    offered = cell.rationales.m + cell.selfplay.k
    two = cell.contrastive.scheme in ONE_A_SIDE
    chosen = (1 + (cell.contrastive.beta > 0)) if two else offered
    learnt = of.label + chosen * of.rationale
    if not two or cell.contrastive.scheme == "sampling":  # nothing is scored before
        return 6 * (2 * read + learnt * write)
    scored = of.label + offered * of.rationale
    again = 4 if _is_recorded(cell, scored, shape) else 6
    return 12 * read + 2 * scored * write + learnt * (again * shape.decoder + 6 * shape.head)


def _is_recorded(cell: Cell, tokens: float, shape: Shape) -> bool:
    """Whether what a step's linear layers gave is kept, so that the chosen are not computed again."""
    wide = 2 if cell.student.precision == "bf16" else 4
    return tokens * cell.training.batch * shape.outputs * wide <= RECORDED


def _selfplay(cell: Cell, of: Sizes, shape: Shape) -> float:
    """k rationales of one question, without gradient."""
    draws = cell.selfplay.k if cell.selfplay.tau > 0 else min(cell.selfplay.k, 1)
    if not draws:
        return 0.0
    read = of.question * (shape.encoder + shape.cross)
    return 2 * (read + draws * of.rationale * (shape.decoder + shape.head))


def _judging(cell: Cell, of: Sizes, judge: Shape, iterations: int, seen: float) -> float:
    """Updates on all rationales of a question, and the scores of the two that are chosen."""
    section = cell.discriminator
    row = 2 * (of.question + of.rationale) * judge.encoder
    least = section.min_factor  # updates end where their rate has decayed below it
    if least and section.decay < 1:
        iterations = min(iterations, math.ceil(math.log(least) / math.log(section.decay)))
    batch, offered = min(section.batch, of.train), cell.rationales.m + cell.selfplay.k
    return iterations * section.update_steps * batch * offered * 3 * row + 2 * seen * row


def _evaluation(cell: Cell, of: Sizes, shape: Shape) -> float:
    """Every validation and test question once."""
    answer = of.both if METHODS[cell.method].writes == "sequence" else of.label
    read = of.question * (shape.encoder + shape.cross)
    return 2.0 * (of.validation + of.test) * (read + answer * (shape.decoder + shape.head))


def _student(cell: Cell) -> Shape | None:
    section = cell.student
    if section.checkpoint is not None:
        return shape(section.checkpoint, section.architecture, 0)
    if section.tokenizer is None:
        return shape(None, section.architecture, len(own_word_tokenizer(section.architecture.family == "t5")))
    try:
        return shape(None, section.architecture, len(load_tokenizer(section)))
    except ConfigError:  # a tokenizer that is not to be had here
        return None


def _judge(cell: Cell) -> Shape | None:
    return shape(cell.discriminator.checkpoint, cell.discriminator.architecture, 0)
