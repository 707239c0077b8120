"""Which models can be decoder-only students, and how they are initialised."""

import pytest
import torch
from transformers import BertConfig, BertModel, Gemma2Config, Gemma2ForCausalLM

from qcrd.config import Architecture
from qcrd.errors import ConfigError
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.causal import families

TOKENIZER = word_level_tokenizer(list("abcdefgh"), append_eos=False)
GOOD = ["llama", "qwen2", "qwen3", "smollm3", "gemma", "gemma3_text", "mistral", "phi", "phi3", "gpt_neox"]
GOOD += ["olmo2", "granite", "cohere", "starcoder2", "gpt2", "opt"]


@pytest.mark.parametrize("family", GOOD)
def test_a_family_is_initialised_by_seed_and_computed_as_its_own_code_does(family):
    shape = Architecture(family=family, d_model=16, d_kv=8, d_ff=24, layers=1, heads=2, kv_heads=1)
    before = torch.random.get_rng_state()
    one, same, other = (families.random("a", shape, TOKENIZER, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    rows = [model.get_input_embeddings().weight for model in (one, same, other)]
    assert rows[0].shape == (len(TOKENIZER), 16)
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert one.dtype == torch.float32


@pytest.mark.parametrize("family", ["bert", "roberta", "t5", "bart", "vit", "no_such"])
def test_encoders_encoder_decoders_and_unknown_families_are_refused(family):
    with pytest.raises(ConfigError, match="allowed: decoder-only families"):
        families.random("student.architecture", Architecture(family=family), TOKENIZER, 0)


@pytest.mark.parametrize("family", ["mamba", "bloom", "stablelm"])
def test_a_family_that_packed_rows_do_not_reproduce_is_refused(family):
    with pytest.raises(ConfigError, match="cannot be computed in packed rows"):
        families.random("student.architecture", Architecture(family=family, d_model=16, d_kv=2), TOKENIZER, 0)


def test_a_head_that_is_more_than_a_product_is_refused():
    shape = Gemma2Config(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, intermediate_size=24, final_logit_softcapping=0.5,
    )  # fmt: skip
    model = Gemma2ForCausalLM(shape)
    model.set_attn_implementation("qcrd_packed")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    with pytest.raises(ConfigError, match="cannot be computed in packed rows"):
        families.check("student.checkpoint", "gemma2", model)


def test_a_checkpoint_of_an_encoder_is_refused(tmp_path):
    shape = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(shape).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"model_type bert\) is an encoder; allowed"):
        families.pretrained("student.checkpoint", str(tmp_path), None)


def test_weights_that_can_execute_code_are_refused(tmp_path):
    model = families.random("a", Architecture(family="llama", d_model=16, d_kv=2, layers=1), TOKENIZER, 0)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="safetensors"):
        families.pretrained("student.checkpoint", str(tmp_path), None)
