"""What is counted from tokens against a profiler that sees every product."""

import pytest
import torch
from causal_models import causal_student
from small import arithmetic_questions, objective_of, small_discriminator, small_student, two_sided
from torch.utils.flop_counter import FlopCounterMode

from qcrd import config
from qcrd.student import flops
from qcrd.student.selfplay import Snapshots

QUESTIONS = arithmetic_questions(6)


def counted(do):
    """FLOP by our count, and of all products of two matrices by the profiler's (attention's are batches)."""
    before = flops.total()
    with FlopCounterMode(display=False) as counter:
        do()
    found = counter.get_flop_counts()["Global"]
    return flops.total() - before, sum(found.get(op, 0) for op in (torch.ops.aten.mm, torch.ops.aten.addmm))


@pytest.mark.parametrize("method", ["finetuning", "dss", "morsd", "qcrd"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_steps_products_are_counted_forwards_and_backwards(method, keep, monkeypatch):
    monkeypatch.setattr("qcrd.student.t5.student.RECORDED", 1e9 if keep else 0)
    student = small_student(1)
    objective = objective_of(method, student, QUESTIONS, two_sided(QUESTIONS), delta=100.0)
    objective.begin_iteration(0, Snapshots(0), range(6))
    own, profiled = counted(lambda: objective.loss(range(6), 1)["loss"].backward())
    assert own == profiled > 0


def test_what_an_iteration_begins_with_is_counted():
    student = small_student(1)
    objective = objective_of("morsd", student, QUESTIONS, two_sided(QUESTIONS))
    own, profiled = counted(lambda: objective.begin_iteration(0, Snapshots(0), range(6)))
    assert own == profiled > 0
    playing = objective_of("qcrd", student, QUESTIONS, two_sided(QUESTIONS), selfplay=config.SelfPlay(k=1))
    snapshots = Snapshots(playing.lag)
    snapshots.take(0, student)
    own, profiled = counted(lambda: playing.begin_iteration(0, snapshots, range(6)))
    assert own == profiled > 0


def test_the_judge_is_counted_but_for_its_two_small_layers():
    discriminator = small_discriminator(update_steps=1)
    objective = objective_of("qcrd", small_student(1), QUESTIONS, two_sided(QUESTIONS), discriminator)
    own, profiled = counted(lambda: objective.begin_iteration(0, Snapshots(0), range(6)))
    assert 0.99 * profiled < own < profiled


@pytest.mark.parametrize("method", ["finetuning", "dss", "qcrd"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_decoder_only_students_products_are_counted(method, checkpointing):
    student = causal_student("llama", 1, checkpointing=checkpointing).train()
    objective = objective_of(method, student, QUESTIONS, two_sided(QUESTIONS), delta=100.0)
    objective.begin_iteration(0, Snapshots(0), range(6))
    own, profiled = counted(lambda: objective.loss(range(6), 1)["loss"].backward())
    # Of a recomputed layer torch leaves out the last product, whose result nothing needs.
    assert (profiled < own < 1.1 * profiled) if checkpointing else (own == profiled > 0)


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])  # one layer after the other, and side by side
@pytest.mark.parametrize("method", ["finetuning", "dss", "qcrd"])
@pytest.mark.parametrize("keep", [True, False])
def test_with_an_adapter_frozen_weights_and_inputs_without_gradient_are_not_counted(family, method, keep):
    student = causal_student(f"{family}-lora", 1).train()
    student._likelihood.recorded = 1e9 if keep else 0
    objective = objective_of(method, student, QUESTIONS, two_sided(QUESTIONS), delta=100.0)
    objective.begin_iteration(0, Snapshots(0), range(6))
    for _ in range(2):  # the first pass notes what has a gradient
        own, profiled = counted(lambda: objective.loss(range(6), 1)["loss"].backward())
        assert own == profiled > 0


def test_an_adapters_products_are_counted_when_it_writes():
    student = causal_student("llama-lora", 1)
    objective = objective_of("qcrd", student, QUESTIONS, two_sided(QUESTIONS), selfplay=config.SelfPlay(k=1))
    snapshots = Snapshots(objective.lag)
    snapshots.take(0, student)
    own, profiled = counted(lambda: objective.begin_iteration(0, snapshots, range(6)))
    assert own == profiled > 0
