"""Benchmarks of decoder-only students: baselines compute the same, and students write what is asked."""

import pytest
import torch
from small import CPU
from test_baselines import BATCH, assert_same, played

from qcrd.bench import baselines
from qcrd.bench.causal_workload import CausalWorkload, single_tokens
from qcrd.bench.step import _selfplay_lengths
from qcrd.bench.trl_steps import examples, token_mean
from qcrd.config import SelfPlay
from qcrd.errors import ConfigError
from qcrd.student.causal.decoding import Writer
from qcrd.training.cards import peak_tflops


def work(targets="multitask", m=3):
    return CausalWorkload.draw("llama-tiny", 6, m, 1, device=CPU.type, targets=targets)


@pytest.mark.parametrize("targets", ["multitask", pytest.param("sequence", marks=pytest.mark.slow)])
def test_the_naive_step_has_the_loss_and_gradients_of_ours(targets):
    given = work(targets)
    student = given.student()
    objective = played(given.objective("qcrd", student, "minmax", False), k=1)
    parts = objective.loss(BATCH, 1)
    assert parts["negatives/active"] == 1
    assert_same(student, parts["loss"], baselines.naive_loss(student, objective, BATCH))


@pytest.mark.parametrize("targets", ["sequence", pytest.param("multitask", marks=pytest.mark.slow)])
def test_the_padded_dss_step_has_the_loss_and_gradients_of_ours(targets):
    given = work(targets, m=1)
    student = given.student()
    objective = given.objective("dss", student, "minmax", False)
    assert_same(student, objective.loss(BATCH, 1)["loss"], baselines.dss_loss(student, objective, BATCH))


@pytest.mark.parametrize("targets, per_question", [("multitask", 2), ("sequence", 1)])
def test_trl_gets_the_tokens_of_our_dss_and_its_mean_loss_is_known(targets, per_question):
    given = work(targets, m=1)
    student = given.student()
    objective = given.objective("dss", student, "minmax", False)
    rows = examples(objective)
    assert len(rows) == 6 * per_question
    assert rows[per_question - 1] == (objective.explain[0], objective.pool.positives[0][0])
    nats = []
    for prompt, row in rows[: 2 * per_question]:
        with torch.no_grad():
            logits = student.model(input_ids=torch.tensor([[*prompt, *row]])).logits[0, len(prompt) - 1 : -1]
        nats += (-logits.log_softmax(-1)[range(len(row)), row]).tolist()
    assert token_mean(student, objective, 2) == pytest.approx(sum(nats) / len(nats), rel=1e-4)


def test_both_writers_write_as_many_tokens_as_they_are_told_to(monkeypatch):
    given, returned = work(), []
    student = given.student().train()
    rows = given.objective("qcrd", student, "minmax", False).explain
    generate = student.model.generate
    monkeypatch.setattr(
        student.model, "generate", lambda **asked: returned.append((asked, generate(**asked)))
    )
    assert baselines.generate(student, rows, [2, 5, 3, 4, 1, 2], 1.5, batch=4) == 17
    assert [out.shape[1] - asked["input_ids"].shape[1] for asked, out in returned] == [5, 2]
    assert student.model.generation_config.eos_token_id == student.eos_id, "as before"
    write, written = Writer.write, []
    monkeypatch.setattr(Writer, "write", lambda *args: written.extend(write(*args)))
    given.write(student, rows, [2, 5, 3, 4, 1, 2], SelfPlay(), torch.Generator().manual_seed(0), 1, 4)
    assert [len(row) for row in written] == [2, 5, 3, 4, 1, 2]
    assert student.training


def test_self_play_of_sequences_has_room_for_cue_and_label():
    given = work("sequence")
    objective = given.objective("qcrd", given.student(), "minmax", False)
    lengths = _selfplay_lengths(objective, [10] * 6, 1)
    labels = [len(row) - 1 for row in objective.labels]
    assert lengths == [10 + 4 + label for label in labels]  # The answer is LABEL .


def test_a_discriminator_is_refused():
    given = work()
    with pytest.raises(ConfigError, match="t5-small"):
        given.objective("qcrd", given.student(), "minmax", True)


def test_words_of_a_checkpoint_are_single_tokens_behind_a_space():
    class Pieces:
        texts = (" two", "two", " 2", " zwö", " broken")

        def __len__(self):
            return len(self.texts)

        def batch_decode(self, rows):
            return [self.texts[row[0]] for row in rows]

        def __call__(self, texts, add_special_tokens):
            return {"input_ids": [[1, 2] if "broken" in text else [1] for text in texts]}

    assert single_tokens(Pieces()) == ["two"]


@pytest.mark.parametrize(
    "name, peak",
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100-PCIE-40GB", 312),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA L40S", None),
    ],
)
def test_the_peak_of_a_card_is_known_by_its_name(name, peak):
    assert peak_tflops(name) == peak
