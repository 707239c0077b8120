"""Small real things that several tests train: a tiny student, a discriminator, and what they learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from qcrd import config, tasks
from qcrd.discriminator.load import load_discriminator
from qcrd.discriminator.questions import DiscriminatorQuestion, discriminator_questions
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.methods import METHODS
from qcrd.objectives.base import Ingredients, Objective
from qcrd.rationales.prompted_duals import Pair
from qcrd.student.base import Student
from qcrd.student.load import load_student
from qcrd.student.tokenizer import load_tokenizer
from qcrd.types import Question, RationaleSet

CPU = torch.device("cpu")
torch.set_num_threads(1)  # such models only wait for a second thread
SHAPE = config.Architecture(d_model=16, d_kv=8, d_ff=32, layers=1, heads=2)


def lengths(**changes) -> config.Student:
    """Settings of a student of one layer and width 16."""
    values = {"architecture": SHAPE, "max_input": 64, "max_rationale": 16, "max_label": 12}
    return config.Student(**values | {"precision": "fp32"} | changes)


def small_student(seed: int = 0, **changes) -> Student:
    """That student, random from `seed`."""
    return load_student(lengths(**changes), seed, CPU)


def discriminator_settings(**changes) -> config.Discriminator:
    """Settings of a discriminator of the same size."""
    return config.Discriminator(**{"architecture": SHAPE, "lr": 3e-3, "batch": 8} | changes)


def small_discriminator(
    seed: int = 0, held: Sequence[DiscriminatorQuestion] = (), student: Student | None = None, **changes
) -> DiscriminatorTrainer:
    """That discriminator, not trained yet, with the tokenizer of a student."""
    section = discriminator_settings(**changes)
    tokenizer = load_tokenizer(lengths()) if student is None else student.tokenizer
    model = load_discriminator(section, tokenizer, "fp32", seed, CPU)
    return DiscriminatorTrainer(model, section, seed, held)


def arithmetic_questions(n: int) -> list[Question]:
    """The first `n` training questions of the arithmetic task."""
    return list(tasks.get("arithmetic").load(config.Task(train=n, validation=1, test=1)).train)


def two_sided(questions: list[Question]) -> list[RationaleSet]:
    """The gold rationale and a variant on one side; rationales of other questions on the other."""
    texts = [q.rationale for q in questions]
    return [
        RationaleSet(
            q.id,
            q.label,
            (q.rationale, f"so {q.rationale}"),
            (texts[i - 1], f"{texts[i - 2]} {texts[i - 1]}"),
        )
        for i, q in enumerate(questions)
    ]


def objective_of(
    method: str,
    student: Student,
    questions: list[Question],
    sets: list[RationaleSet],
    discriminator: DiscriminatorTrainer | None = None,
    scheme: str = "minmax",
    selfplay: config.SelfPlay | None = None,
    section: config.Student | None = None,
    seed: int = 0,
    edit: config.Edit | None = None,
    selection: config.Selection | None = None,
    measurer: Callable[[], Student] | None = None,
    pairs: Sequence[Sequence[Pair]] = (),
    **contrastive,
) -> Objective:
    """A method's objective over these questions."""
    section = section or lengths()
    written = METHODS[method].written(section)
    seen = (
        discriminator_questions(student.tokenizer, [q.text for q in questions], sets, section)
        if discriminator
        else []
    )
    return METHODS[method].objective(
        Ingredients(
            student=student,
            task=tasks.get("arithmetic"),
            questions=questions,
            sets=sets,
            training=config.Training(alpha1=0.4, alpha2=0.6),
            lengths=section,
            selection=METHODS[method].selection(selection or config.Selection()),
            measurer=measurer,
            contrastive=config.Contrastive(scheme=scheme, **contrastive),
            selfplay=selfplay or config.SelfPlay(k=0),
            edit=edit or config.Edit(),
            discriminator=discriminator,
            discriminator_questions=seen,
            seed=seed,
            written=written,
            pairs=pairs,
        )
    )
