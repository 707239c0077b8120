"""Counts the FLOP of a cell from its settings alone, before its first step.

The count is that of `qcrd.student.flops`: 2 FLOP per weight of a linear layer and token in the forward pass,
and 4 more in the backward pass. w_e and w_x are the weights that a token of an input meets in the encoder and
in the decoder's cross-attention keys and values; w_d and w_h are those that a token of a target meets in the
decoder and its output head (`Shape`). q, y and r are the mean numbers of tokens of question, label and
rationale. One question in one step takes

    finetuning   6 (q (w_e + w_x) + y (w_d + w_h))
    single_task  the same with rationale and label for y
    dss          6 (2 q (w_e + w_x) + (y + r) (w_d + w_h))
    qcrd         6 2 q (w_e + w_x) + 2 (y + (m + k) r) (w_d + w_h) + (y + c r) (4 w_d + 6 w_h)

where c is the number of chosen rationales: all m + k for mean and wmean (which score none beforehand:
6 (y + c r) (w_d + w_h)), two for the other schemes. With `student.targets: sequence` qcrd reads a question
once, has no label task (y = 0), and r is rationale and label together. A decoder-only student has w_x = 0
and reads a question once for both tasks. With LoRA, w_d has the adapter's weights too, and the frozen weights
(the head among them) cost 2 FLOP less per token in the backward pass, as do weights of the first layer whose
inputs have no gradient.

Each iteration adds self-play (k rationales per question) and the discriminator's updates; evaluations are
added as well. The count assumes that all samples can be read, are distinct and enter the loss. It is
therefore an upper bound, unless self-play writes longer rationales than the teacher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from qcrd.cell.identity import needs_discriminator
from qcrd.config import Cell
from qcrd.errors import ConfigError
from qcrd.grid.plan.shapes import Shape, shape, teacher_parameters
from qcrd.grid.plan.sizes import DataSizes, data_sizes
from qcrd.methods import METHODS
from qcrd.student.t5.limits import RECORDED
from qcrd.student.tokenizer import load_tokenizer, own_word_tokenizer

COUNTED_METHODS = ("finetuning", "single_task", "dss", "qcrd")
PAIR_SCHEMES = ("minmax", "maxmin", "sampling")  # choose one positive and one negative per question


@dataclass(frozen=True, slots=True)
class Flops:
    """FLOP of one cell, by part."""

    steps: float = 0.0  # the student's losses, forward and backward
    selfplay: float = 0.0  # decoding of self-play rationales
    discriminator: float = 0.0  # the discriminator's updates and scores
    evaluation: float = 0.0  # decoding of answers to validation and test questions

    @property
    def training(self) -> float:
        """The FLOP that a record's `cost/student_tflop` counts."""
        return self.steps + self.selfplay + self.discriminator


def flops(cell: Cell) -> Flops | None:
    """FLOP of the cell; None if its method, the sizes of its data or a model's shape are unknown."""
    of, student = data_sizes(cell), _student_shape(cell)
    if of is None or student is None or cell.method not in COUNTED_METHODS:
        return None
    discriminator = _discriminator_shape(cell) if needs_discriminator(cell) else None
    if needs_discriminator(cell) and discriminator is None:
        return None
    training = cell.training
    batch = min(training.batch, of.train)
    epoch = math.ceil(of.train / batch)
    epochs, remaining_steps = divmod(training.steps, epoch)
    # Questions that the loss sees; the last batch of an epoch may be smaller.
    seen = epochs * of.train + remaining_steps * batch
    baseline = Flops(
        steps=seen * _question(cell, of, student),
        evaluation=math.ceil(training.steps / training.evaluate_every) * _evaluation(cell, of, student),
    )
    if not METHODS[cell.method].contrasts:
        return baseline
    length = training.iteration or epoch
    starts = range(0, training.steps, length)
    questions = sum(min(of.train, batch * min(length, training.steps - start)) for start in starts)
    return replace(
        baseline,
        selfplay=questions * _selfplay(cell, of, student),
        discriminator=_discriminator(cell, of, discriminator, len(starts), seen) if discriminator else 0.0,
    )


def pretraining(cell: Cell) -> float:
    """FLOP of pretraining the cell's discriminator, which cells may share; 0 if it needs none."""
    of, discriminator = data_sizes(cell), _discriminator_shape(cell)
    if not needs_discriminator(cell) or of is None or discriminator is None:
        return 0.0
    section, m = cell.discriminator, cell.rationales.m
    rows = m * (1 + section.augment)  # if all samples are positives
    batch = min(section.batch, of.train)
    return 6.0 * section.pretrain_steps * batch * rows * (of.question + of.rationale) * discriminator.encoder


def sampling(cell: Cell, samples: int) -> float | None:
    """FLOP of drawing samples from the cell's teacher, with one pass over each prompt; None if unknown."""
    of, weights = data_sizes(cell), teacher_parameters(cell.teacher)
    if of is None or weights is None:
        return None
    return 2.0 * weights * samples * (of.prompt + of.answer)


def _question(cell: Cell, of: DataSizes, shape: Shape) -> float:
    """FLOP of one question in one step, forward and backward."""
    read = of.question * (shape.encoder + shape.cross)
    write = shape.decoder + shape.head
    method = METHODS[cell.method]
    sequence = method.written(cell.student) == "sequence"
    tasks = 1 if shape.causal else 2  # a decoder-only student reads what two prompts begin with once
    if not method.contrasts:
        if sequence or not method.explains:
            written = of.both if sequence else of.label
            return 6 * (read + written * write) - _spared(shape, of.question, written)
        written = of.label + of.rationale
        return 6 * (tasks * read + written * write) - _spared(shape, tasks * of.question, written)
    reads, label, rationale = (1, 0, of.both) if sequence else (tasks, of.label, of.rationale)
    offered = cell.rationales.m + cell.selfplay.k
    two = cell.contrastive.scheme in PAIR_SCHEMES
    chosen = (1 + (cell.contrastive.beta > 0)) if two else offered
    learnt = label + chosen * rationale
    spared = _spared(shape, reads * of.question, learnt)
    if not two or cell.contrastive.scheme == "sampling":  # nothing is scored before
        return 6 * (reads * read + learnt * write) - spared
    scored = label + offered * rationale
    recorded = _is_recorded(cell, scored, shape)
    again = 4 if recorded else 6
    reread = 2 * read if shape.causal and not recorded else 0  # with the chosen, their prompts
    differentiated = learnt * (again * shape.decoder + 6 * shape.head) - spared
    return 6 * reads * read + reread + 2 * scored * write + differentiated


def _spared(shape: Shape, read: float, written: float) -> float:
    """FLOP of backward products that an adapter's frozen weights do without, for so many tokens."""
    return 2 * ((read + written) * shape.spared + written * shape.spared_head)


def _is_recorded(cell: Cell, tokens: float, shape: Shape) -> bool:
    """Whether a step keeps the outputs of its linear layers, so that the chosen are not computed again."""
    value_bytes = 2 if cell.student.precision == "bf16" else 4
    return tokens * cell.training.batch * shape.outputs * value_bytes <= RECORDED


def _selfplay(cell: Cell, of: DataSizes, shape: Shape) -> float:
    """FLOP of generating k rationales for one question, without gradient."""
    draws = cell.selfplay.k if cell.selfplay.tau > 0 else min(cell.selfplay.k, 1)
    if not draws:
        return 0.0
    read = of.question * (shape.encoder + shape.cross)
    written = of.both if METHODS[cell.method].chooses_sequence(cell.student) else of.rationale
    return 2 * (read + draws * written * (shape.decoder + shape.head))


def _discriminator(cell: Cell, of: DataSizes, shape: Shape, iterations: int, seen: float) -> float:
    """FLOP of updates on all rationales of a question, and of scoring the two that are chosen."""
    section = cell.discriminator
    row = 2 * (of.question + of.rationale) * shape.encoder
    min_factor = section.min_factor  # updates stop once their learning rate has decayed below it
    if min_factor and section.decay < 1:
        iterations = min(iterations, math.ceil(math.log(min_factor) / math.log(section.decay)))
    batch, offered = min(section.batch, of.train), cell.rationales.m + cell.selfplay.k
    return iterations * section.update_steps * batch * offered * 3 * row + 2 * seen * row


def _evaluation(cell: Cell, of: DataSizes, shape: Shape) -> float:
    """FLOP of answering every validation and test question once."""
    answer = of.both if METHODS[cell.method].written(cell.student) == "sequence" else of.label
    read = of.question * (shape.encoder + shape.cross)
    return 2.0 * (of.validation + of.test) * (read + answer * (shape.decoder + shape.head))


def _student_shape(cell: Cell) -> Shape | None:
    section = cell.student
    if section.checkpoint is not None:
        return shape(section.checkpoint, section.architecture, 0, section.adapter)
    if section.tokenizer is None:
        words = len(own_word_tokenizer(section.architecture.family == "t5"))
        return shape(None, section.architecture, words, section.adapter)
    try:
        return shape(None, section.architecture, len(load_tokenizer(section)), section.adapter)
    except ConfigError:  # the tokenizer is not available here
        return None


def _discriminator_shape(cell: Cell) -> Shape | None:
    return shape(cell.discriminator.checkpoint, cell.discriminator.architecture, 0)
