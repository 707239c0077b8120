"""A discriminator whose encoder is a decoder-only model."""

import pytest
import torch
from causal_models import FAMILIES, TOKENIZER, save_checkpoint
from daily import some
from small import CPU, arithmetic_questions, lengths
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModel, BertConfig, BertModel

from qcrd import config
from qcrd.discriminator.footprint import kept_bytes, training_bytes
from qcrd.discriminator.load import encoder_config, load_discriminator
from qcrd.discriminator.model import within_question_auc
from qcrd.discriminator.questions import Rows, discriminator_questions
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.errors import ConfigError
from qcrd.student.tokenizer import load_tokenizer
from qcrd.student.weights import set_weights, weights
from qcrd.types import RationaleSet

ROWS = [[5, 9, 3, 4, 8, 7, 6, 2, 9, 1], [5, 9, 3, 4, 8, 7, 6, 2, 9, 4, 4, 1], [7, 1], [5, 9, 3, 1], [8, 8, 1]]
SHAPE = config.Architecture(family="llama", d_model=16, d_kv=8, d_ff=32, layers=2, heads=2, kv_heads=1)
SECTION = config.Discriminator(architecture=SHAPE, lr=1e-2, batch=8, pretrain_steps=40)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    return {f: save_checkpoint(folder / f, f, seed=n) for n, f in enumerate(FAMILIES)}


def load(checkpoint=None, seed=0, **settings):
    section = config.Discriminator(checkpoint=checkpoint, **settings)
    return load_discriminator(section, load_tokenizer(lengths()), "fp32", seed, CPU)


def learnable(tokenizer):
    """Right rationales begin with `so`, wrong ones do not."""
    questions = arithmetic_questions(24)
    sets = [
        RationaleSet(
            q.id,
            q.label,
            (f"so {q.rationale}", f"so then {q.rationale}"),
            (q.rationale, f"more {q.rationale}"),
        )
        for q in questions
    ]
    return discriminator_questions(tokenizer, [q.text for q in questions], sets, lengths())


@pytest.mark.parametrize("family", some(FAMILIES, ["llama", "gpt_neox", "gemma3_text"]))
def test_the_head_reads_the_mean_of_the_last_states_of_the_model_s_own_code(published, family):
    discriminator = load(published[family]).eval()
    own = AutoModel.from_pretrained(published[family], attn_implementation="eager").eval()
    wanted = torch.stack([own(torch.tensor([row])).last_hidden_state[0].mean(0) for row in ROWS])
    torch.testing.assert_close(discriminator.pooled(ROWS), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", some(FAMILIES, ["qwen3"]))
def test_scores_do_not_depend_on_what_they_are_asked_with(published, family):
    discriminator = load(published[family])
    together = discriminator.score(ROWS)
    assert together.std() > 0
    torch.testing.assert_close(torch.cat([discriminator.score([row]) for row in ROWS]), together)
    torch.testing.assert_close(discriminator.score(ROWS[::-1], batch=2).flip(0), together)
    torch.testing.assert_close(discriminator.score(ROWS * 3)[:5], together)


def test_gradients_are_those_of_separate_passes(published):
    discriminator = load(published["qwen2"]).eval()
    factors = torch.linspace(-1, 1, len(ROWS))

    def gradients(loss):
        discriminator.zero_grad()
        loss.backward()
        return {name: p.grad.clone() for name, p in discriminator.named_parameters() if p.grad is not None}

    together = gradients(discriminator(ROWS) @ factors)
    alone = gradients(sum(f * discriminator([row])[0] for f, row in zip(factors, ROWS, strict=True)))
    assert together.keys() == alone.keys() == dict(discriminator.named_parameters()).keys()
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, alone[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("checkpoint", some([None, "llama", "qwen2", "qwen3"], [None, "qwen2"]))
def test_pretraining_ranks_the_rationales_of_a_question_rightly(published, checkpoint):
    student = load_tokenizer(lengths())
    section = SECTION.model_copy(update={"checkpoint": published.get(checkpoint)})
    model = load_discriminator(section, student, "fp32", 0, CPU)
    assert (model.tokenizer is student) == (checkpoint is None)
    questions = learnable(model.tokenizer)
    held = questions[16:]
    trainer = DiscriminatorTrainer(model, section, 0)
    figures = trainer.pretrain(lambda _: questions[:16])
    rows = Rows.of(held, CPU)
    assert figures["auc"] > 0.9
    assert within_question_auc(model.score(rows.tokens), rows.positive, rows.question) > 0.9


def test_random_weights_are_of_their_seed_and_leave_the_global_stream_alone():
    before = torch.random.get_rng_state()
    one, same, other = (load(seed=seed, architecture=SHAPE) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.score(ROWS), same.score(ROWS))
    assert not torch.equal(one.score(ROWS), other.score(ROWS))
    assert not [name for name in weights(one) if "lm_head" in name]
    set_weights(other, weights(one))
    assert torch.equal(one.score(ROWS), other.score(ROWS))


def test_a_checkpoint_brings_its_tokenizer_unless_the_student_has_the_same(published):
    discriminator = load(published["llama"])
    assert discriminator.tokenizer.get_vocab() != load_tokenizer(lengths()).get_vocab()
    assert discriminator.tokenizer.decode(discriminator.tokenizer("Zoë has 3")["input_ids"]) == "Zoë has 3"
    section = config.Discriminator(checkpoint=published["llama"])
    students = load_tokenizer(lengths(tokenizer=published["qwen3"]))  # another copy of the same
    assert load_discriminator(section, students, "fp32", 0, CPU).tokenizer is students


def test_folders_that_cannot_be_used_are_refused(published, tmp_path):
    own = tmp_path / "alone"
    AutoModel.from_pretrained(published["llama"]).save_pretrained(own)
    with pytest.raises(ConfigError, match=r"discriminator\.checkpoint: .*alone' has no tokenizer"):
        load(str(own))
    bert = tmp_path / "bert"
    BertModel(
        BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).save_pretrained(bert)
    TOKENIZER.save_pretrained(bert)
    with pytest.raises(
        ConfigError, match=r"discriminator\.checkpoint: .* an encoder \(bert\); allowed: the T5"
    ):
        load(str(bert))
    small = tmp_path / "small"
    save_checkpoint(small, "llama", vocabulary=100)
    with pytest.raises(ConfigError, match=r"knows 100 tokens, its tokenizer has \d{3}"):
        load(str(small))
    with pytest.raises(ConfigError, match=r"discriminator\.architecture\.family is an encoder \(bert\)"):
        load(architecture=config.Architecture(family="bert"))


@pytest.mark.parametrize("lengths", [[40], [3, 90, 31, 44, 5, 60]])
def test_its_memory_is_known_before(published, lengths):
    section = config.Discriminator(checkpoint=published["llama"])
    shape, model = encoder_config(section, TOKENIZER), load(published["llama"]).train()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model([[row + 3] * length for row, length in enumerate(lengths)])
    whole = sum(storage.nbytes() for storage in kept.values())
    assert 0.8 * whole < kept_bytes(shape, lengths) < 1.5 * whole
    assert training_bytes(shape, 100, 1000) > 16 * sum(p.numel() for p in model.encoder.parameters())
