"""LoRA adapters: what is trained, kept and shared."""

import sys

import pytest
import torch
from causal_models import SHAPE, TOKENIZER
from small import CPU
from torch.testing import assert_close
from transformers import AutoModelForCausalLM

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.student.causal.load import load_causal

QUESTIONS = ["Tom has 8 apples .", "Ann has 3 pens and 5 pens .", "Tom has 8 apples . He has 2 ."]
LIMIT = 24
LLAMA = config.Student(architecture=config.Architecture(family="llama", **SHAPE))


def with_adapter(**changes):
    return LLAMA.model_copy(update={"adapter": config.Adapter(r=2, alpha=4, **changes)})


def loaded(seed=0, **changes):
    student = load_causal(with_adapter(**changes), TOKENIZER, seed, CPU)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in student.parameters():
            if tensor.requires_grad:
                tensor.normal_(std=0.3, generator=generator)
    return student


def values(student):
    prompts = student.prompts("predict", QUESTIONS, LIMIT)
    rows = student.completions(["8", "3 + 5", "8 - 2"], LIMIT)
    return student.cross_entropy(student.read(prompts), [0, 1, 2], rows)


def test_the_adapter_alone_is_trained_and_kept():
    student = loaded()
    kept = student.weights()
    assert kept
    assert all("lora_" in name for name in kept)
    values(student).sum().backward()
    assert {n for n, p in student.named_parameters() if p.grad is not None} == set(kept)
    assert sum(t.numel() for t in kept.values()) < sum(p.numel() for p in student.parameters()) / 2


def test_students_of_one_base_share_its_weights_and_not_their_adapters():
    first, second = loaded(), loaded()
    base = [{id(p) for p in s.parameters() if not p.requires_grad} for s in (first, second)]
    assert base[0] == base[1]
    before = values(first).detach()
    second.set_weights({name: tensor + 1 for name, tensor in second.weights().items()})
    assert torch.equal(values(first).detach(), before)
    assert not torch.equal(values(second).detach(), before)


def test_without_its_adapter_a_student_is_its_base():
    student = loaded()
    base = load_causal(LLAMA, TOKENIZER, 0, CPU).eval()
    student.eval()
    trained = {n for n, p in student.named_parameters() if p.requires_grad}
    assert not torch.equal(values(student), values(base))
    with student.without_adapter():
        assert torch.equal(values(student).detach(), values(base).detach())
    assert {n for n, p in student.named_parameters() if p.requires_grad} == trained
    assert not torch.equal(values(student), values(base))


def test_the_choice_is_made_under_the_dropout_that_is_differentiated():
    student = loaded(dropout=0.5).train()
    prompts = student.read(student.prompts("explain", QUESTIONS, LIMIT))
    rows = student.completions(["8", "3 + 5", "8 - 2"], LIMIT)
    scored = student.score(prompts, [0, 1, 2], rows)
    assert_close(scored.differentiable([2, 0]).detach(), scored.values[[2, 0]])
    assert (student.score(prompts, [0, 1, 2], rows).values - scored.values).abs().max() > 1e-4


def test_a_saved_adapter_is_one_of_peft_s(tmp_path):
    import peft

    student = loaded().eval()
    student.save(tmp_path / "adapter")
    assert sorted(f.name for f in (tmp_path / "adapter").glob("*.safetensors")) == [
        "adapter_model.safetensors"
    ]
    load_causal(LLAMA, TOKENIZER, 0, CPU).save(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    again = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    assert_close(again(input_ids=ids).logits, student.model(input_ids=ids).logits)


def test_what_cannot_be_adapted_is_refused():
    with pytest.raises(ConfigError, match="is the head"):
        loaded(targets=("q_proj", "lm_head"))
    with pytest.raises(ConfigError, match="no_such"):
        loaded(targets=("no_such",))


def test_without_peft_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"install qcrd\[lora\]"):
        load_causal(with_adapter(), TOKENIZER, 0, CPU)
