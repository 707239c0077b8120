"""What a cell computes, counted before its first step and by its trainer after the last."""

import causal_models
import pytest
from small import (
    SHAPE,
    arithmetic_questions,
    discriminator_settings,
    lengths,
    objective_of,
    small_discriminator,
    small_student,
)

from qcrd import config
from qcrd.config import Cell
from qcrd.config.presets import PAPER
from qcrd.grid.plan.flops import flops as flops_of
from qcrd.grid.plan.flops import pretraining, sampling
from qcrd.grid.plan.shapes import Shape, shape
from qcrd.storage.journal import Journal
from qcrd.student import flops
from qcrd.training.trainer import Trainer
from qcrd.types import RationaleSet

QUESTIONS = arithmetic_questions(24)
STUDENT = lengths(max_rationale=24)
TRAINING = config.Training(steps=8, batch=8, lr=1e-3, evaluate_every=4)  # an epoch is three steps
M = 4


def cell(method, **changes) -> Cell:
    values = {
        "method": method,
        "task": config.Task(train=len(QUESTIONS), validation=8, test=8),
        "student": STUDENT,
        "training": TRAINING,
        "rationales": config.Rationales(m=M),
        "selfplay": config.SelfPlay(k=0),
        "discriminator": config.Discriminator(enabled=False),
    }
    return Cell(**values | changes)


def sets():
    """Four different rationales for each question, as long as those of the task."""
    texts = [q.rationale for q in QUESTIONS]
    return [
        RationaleSet(q.id, q.label, (texts[i], texts[i - 1]), (texts[i - 2], texts[i - 3]))
        for i, q in enumerate(QUESTIONS)
    ]


def counted(tmp_path, method, discriminator=None, student=None, **changes):
    """FLOP that a trainer has counted at its end."""
    student = student or small_student(1, max_rationale=24)
    objective = objective_of(
        method, student, QUESTIONS, sets(), discriminator, section=STUDENT, delta=100.0, **changes
    )
    evaluators = {"validation": lambda: [], "test": lambda: []}
    with Journal(tmp_path / "journal.jsonl") as journal:
        trainer = Trainer(
            student, objective, [q.id for q in QUESTIONS], TRAINING, 0, evaluators, journal, tmp_path,
            lambda progress: None, {},
        )  # fmt: skip
        return trainer.run().flops


@pytest.mark.parametrize("method", ["finetuning", "single_task", "dss"])
def test_before_is_what_the_trainer_counts_after_within_a_twentieth(tmp_path, method):
    assert flops_of(cell(method)).training == pytest.approx(counted(tmp_path, method), rel=0.05)


@pytest.mark.parametrize("scheme", ["minmax", "sampling", "mean"])
def test_qcrds_schemes_are_counted_within_a_tenth(tmp_path, scheme):
    before = flops_of(cell("qcrd", contrastive=config.Contrastive(scheme=scheme)))
    assert before.training == pytest.approx(counted(tmp_path, "qcrd", scheme=scheme), rel=0.1)


def test_self_play_and_the_discriminator_are_counted(tmp_path):
    play = config.SelfPlay(k=2, lag=1)
    section = discriminator_settings(update_steps=2)
    before = flops_of(cell("qcrd", selfplay=play, discriminator=section))
    after = counted(tmp_path, "qcrd", small_discriminator(update_steps=2), selfplay=play)
    assert before.selfplay > 0 < before.discriminator and before.training == pytest.approx(after, rel=0.15)
    assert flops_of(cell("qcrd", discriminator=section)).selfplay == 0
    greedy = config.SelfPlay(k=2, tau=0.0)
    assert flops_of(cell("qcrd", selfplay=greedy)).selfplay < flops_of(cell("qcrd", selfplay=play)).selfplay


LLAMA = STUDENT.model_copy(
    update={"architecture": config.Architecture(family="llama", **causal_models.SHAPE)}
)


@pytest.mark.parametrize("method", ["finetuning", "single_task", "dss", "qcrd"])
def test_a_decoder_only_student_is_counted_within_an_eighth(tmp_path, method):
    before = flops_of(cell(method, student=LLAMA))
    after = counted(tmp_path, method, student=causal_models.causal_student("llama"))
    assert before.training == pytest.approx(after, rel=0.125)


def test_a_decoder_only_models_weights_are_those_of_the_model(tmp_path):
    student = causal_models.causal_student("qwen3")
    architecture = LLAMA.architecture.model_copy(update={"family": "qwen3"})
    found = shape(None, architecture, len(student.tokenizer))
    assert found.decoder == found.encoder == student._likelihood.weights
    assert found.outputs == student._likelihood.outputs
    student.save(tmp_path)
    assert shape(str(tmp_path), SHAPE, 0) == found
    gpt = LLAMA.architecture.model_copy(update={"family": "gpt_neox"})
    assert shape(None, gpt, 10) is None


@pytest.mark.parametrize(
    "targets", ["all-linear", ("q_proj", "v_proj"), ("o_proj",), ("up_proj",), ("mlp.down_proj",)]
)
def test_an_adapters_weights_are_those_of_the_model_and_what_they_spare(targets):
    adapter = config.Adapter(r=4, targets=targets)
    section = LLAMA.model_copy(update={"adapter": adapter})
    student = small_student(adapter=adapter, architecture=LLAMA.architecture).train()
    found = shape(None, section.architecture, len(student.tokenizer), adapter)
    assert found.decoder == student._likelihood.weights
    assert found.outputs == student._likelihood.outputs
    prompts = student.prompts("predict", [q.text for q in QUESTIONS[:1]], 64)
    labels = student.completions([QUESTIONS[0].label], 12)
    before = flops.total()
    student.cross_entropy(student.read(prompts), [0], labels)
    stack, head = len(prompts[0]) + len(labels[0]) - 1, len(labels[0])
    whole = 6 * (stack * found.decoder + head * found.head)
    assert flops.total() - before == whole - 2 * (stack * found.spared + head * found.spared_head)
    assert shape(None, section.architecture, 10, config.Adapter(targets=("query",))) is None


@pytest.mark.parametrize("method", ["finetuning", "dss", "qcrd"])
def test_a_student_with_an_adapter_is_counted_within_an_eighth(tmp_path, method):
    adapter = config.Adapter(r=4, alpha=8)
    before = flops_of(cell(method, student=LLAMA.model_copy(update={"adapter": adapter})))
    after = counted(tmp_path, method, student=causal_models.causal_student("llama-lora"))
    assert before.training == pytest.approx(after, rel=0.125)


def test_a_t5s_weights_are_those_of_the_model():
    model = small_student()
    found = shape(None, SHAPE, len(model.tokenizer))
    crossed = [block.cross for block in model.decoder.blocks]
    assert found.encoder == model.encoder.weights and found.decoder == model.decoder.weights
    assert found.cross == sum(part.k.numel() + part.v.numel() for part in crossed)
    assert found.head == model.model.lm_head.weight.numel()
    assert found.outputs == sum(w.shape[0] for block in model.decoder.blocks for w in block.linear)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("google/t5-v1_1-base", 248), ("google-t5/t5-base", 223), ("google/t5-v1_1-small", 77)],
)
def test_the_known_checkpoints_have_their_published_sizes(name, millions):
    found = shape(name, SHAPE, 0)
    table = found.head  # the embeddings, which v1.1's head does not share
    whole = found.encoder + found.cross + found.decoder + table * (2 if "v1_1" in name else 1)
    assert whole / 1e6 == pytest.approx(millions, rel=0.01)


def test_a_folder_says_its_shape_itself(tmp_path):
    small_student().save(tmp_path)
    model = small_student()
    assert shape(str(tmp_path), SHAPE, 0) == shape(None, SHAPE, len(model.tokenizer))
    assert isinstance(shape("/models/t5-v1_1-base", SHAPE, 0), Shape)
    assert shape("someone/else", SHAPE, 0) is None


def test_what_is_not_known_is_not_counted_and_not_guessed():
    paper = Cell.model_validate(PAPER)
    assert flops_of(paper).training > 5e16
    assert flops_of(paper.model_copy(update={"method": "morsd"})) is None
    other = paper.student.model_copy(update={"checkpoint": "someone/else"})
    assert flops_of(paper.model_copy(update={"student": other})) is None
    assert sampling(paper.model_copy(update={"teacher": config.Teacher(model="someone/llm")}), 10) is None
    assert sampling(paper, 10) == 2 * 7.6e9 * 10 * (537.2 + 50.5)
    assert pretraining(cell("dss")) == 0 < pretraining(paper)


def test_the_trainers_counter_is_of_linear_layers_alone():
    before = flops.total()
    flops.count(10, 3)
    assert flops.total() - before == 180
