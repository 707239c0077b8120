"""Converts a Llama model in a GGUF file to a folder in Hugging Face format, with float32 safetensors.

The output is byte-identical on every machine: the arithmetic is elementwise float32, and no file contains a
time, a path or a library version. torch and transformers are not needed. transformers' own GGUF reader gives
the same weights, but its tokenizer does not split digits first and uses one id for padding and end.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from qcrd.errors import DataError

if TYPE_CHECKING:
    from gguf import GGUFReader

NORMAL, CONTROL = 1, 3  # token types in the header
LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
OF_LAYER = {  # a layer's weights: GGUF's name to transformers' name
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OF_MODEL = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
# Pre-tokenizers by llama.cpp's name. Digits are split first: otherwise whitespace before a digit could merge
# with other characters.
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
PRE_TOKENIZERS: dict[str, dict[str, Any]] = {
    "smollm": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]},
}


def write_folder(file: Path, folder: Path, origin: dict[str, str]) -> None:
    """Write weights, configuration and tokenizer of a GGUF file to the new folder `folder`.

    The padding token is the header's, or the unknown token if padding and end are the same: a loss that masks
    padding must not mask the end token.

    Args:
        file: GGUF file with a Llama (tensors of any type that `gguf` can dequantise) and a byte-level BPE.
        folder: receives config.json, generation_config.json, model.safetensors, tokenizer.json and
            tokenizer_config.json.
        origin: provenance of the model. Stored as `origin` in config.json, with the number of tensors by
            type; transformers preserves it when it saves the model elsewhere.

    Raises:
        DataError: for an unsupported architecture, tokenizer or tensor.
    """
    from gguf import GGUFReader

    reader = GGUFReader(file)
    header = _Header(reader, file)
    header.expect("general.architecture", ["llama"])
    header.expect("tokenizer.ggml.model", ["gpt2"])
    config = _config(header, tied="output.weight" not in {tensor.name for tensor in reader.tensors})
    types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
    config["origin"] = {**origin, "tensors": dict(sorted(types.items()))}
    folder.mkdir(parents=True)
    special = {f"{role}_token_id": config[f"{role}_token_id"] for role in ("bos", "eos", "pad")}
    _write(folder / "config.json", config)
    weights = folder / "model.safetensors"
    save_file(_weights(reader, config, file), weights, metadata={"format": "pt"})
    shutil.copymode(folder / "config.json", weights)  # the library creates it without group permissions
    _write(folder / "generation_config.json", special)
    _write(folder / "tokenizer.json", _tokenizer(header))
    tokens = header["tokenizer.ggml.tokens"]
    tokenizer_config = {
        # A model-specific class would rebuild the pre-tokenizer without the split of digits.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[config["bos_token_id"]],
        "eos_token": tokens[config["eos_token_id"]],
        "pad_token": tokens[config["pad_token_id"]],
        "model_max_length": config["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        "chat_template": header.get("tokenizer.chat_template"),
    }
    _write(folder / "tokenizer_config.json", {k: v for k, v in tokenizer_config.items() if v is not None})


class _Header:
    """The key-value pairs of a GGUF file."""

    def __init__(self, reader: GGUFReader, file: Path):
        self._fields, self._file = reader.fields, file

    def __getitem__(self, key: str) -> Any:
        if key not in self._fields:
            raise DataError(f"{self._file}: the header has no {key}")
        return self._fields[key].contents()

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self._fields else default

    def number(self, key: str) -> float:
        """A float32 value as its shortest decimal: 1e-05, not 9.999999747378752e-06."""
        return float(str(np.float32(self[key])))

    def expect(self, key: str, allowed: list[Any]) -> Any:
        if (value := self[key]) not in allowed:
            raise DataError(f"{self._file}: {key} is {value!r}; allowed: {', '.join(map(repr, allowed))}")
        return value


def _config(header: _Header, tied: bool) -> dict[str, Any]:
    heads, width = header["llama.attention.head_count"], header["llama.embedding_length"]
    end, unknown = header["tokenizer.ggml.eos_token_id"], header.get("tokenizer.ggml.unknown_token_id", 0)
    pad = header.get("tokenizer.ggml.padding_token_id", end)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(header["tokenizer.ggml.tokens"]),
        "hidden_size": width,
        "intermediate_size": header["llama.feed_forward_length"],
        "num_hidden_layers": header["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": header["llama.attention.head_count_kv"],
        "head_dim": header.get("llama.rope.dimension_count", width // heads),
        "hidden_act": "silu",
        "max_position_embeddings": header["llama.context_length"],
        "rms_norm_eps": header.number("llama.attention.layer_norm_rms_epsilon"),
        "rope_theta": header.number("llama.rope.freq_base"),
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "bos_token_id": header["tokenizer.ggml.bos_token_id"],
        "eos_token_id": end,
        "pad_token_id": pad if pad != end else unknown,
        "dtype": "float32",
    }


def _weights(reader: GGUFReader, config: dict[str, Any], file: Path) -> dict[str, np.ndarray]:
    from gguf import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        match = LAYER.fullmatch(tensor.name)
        if match and match[2] in OF_LAYER:
            name = f"model.layers.{match[1]}.{OF_LAYER[match[2]]}.weight"
            if match[2] in heads:
                values = _halves(values, heads[match[2]])
        elif tensor.name in OF_MODEL:
            name = OF_MODEL[tensor.name]
        else:
            raise DataError(f"{file}: {tensor.name!r} is no weight of a Llama without biases")
        weights[name] = np.ascontiguousarray(values, dtype=np.float32)
    return weights


def _halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows (heads · size, width) as transformers' rotary embedding pairs them: i with i + size / 2.

    llama.cpp pairs neighbours, so its converter interleaves the halves of each head; this undoes it.
    """
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, -1)
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def _tokenizer(header: _Header) -> dict[str, Any]:
    """Content of tokenizer.json. Written by hand, since the library's output depends on its version."""
    pre = header.expect("tokenizer.ggml.pre", list(PRE_TOKENIZERS))
    tokens = header["tokenizer.ggml.tokens"]
    types = header["tokenizer.ggml.token_type"]
    for kind in set(types):
        if kind not in (NORMAL, CONTROL):
            raise DataError(f"tokenizer.ggml.token_type has {kind}; allowed: {NORMAL}, {CONTROL}")
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": tokens[i], **plain} for i, kind in enumerate(types) if kind == CONTROL
        ],
        "normalizer": None,
        "pre_tokenizer": PRE_TOKENIZERS[pre],
        "post_processor": None,
        "decoder": {**BYTES, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": header["tokenizer.ggml.merges"],
        },
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
