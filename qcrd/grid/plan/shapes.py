"""Weights per token of a model's linear layers, known without loading the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qcrd.config import Adapter, Architecture, Teacher
from qcrd.storage.files import read_json

# From each config.json: d_model, d_kv, d_ff, layers, heads, vocabulary, matrices of a feed-forward layer.
_T5 = {
    "t5-small": (512, 64, 2048, 6, 8, 32128, 2),
    "t5-base": (768, 64, 3072, 12, 12, 32128, 2),
    "t5-large": (1024, 64, 4096, 24, 16, 32128, 2),
    "t5-v1_1-small": (512, 64, 1024, 8, 6, 32128, 3),
    "t5-v1_1-base": (768, 64, 2048, 12, 12, 32128, 3),
    "t5-v1_1-large": (1024, 64, 2816, 24, 16, 32128, 3),
}
_GATED = ("llama", "qwen2", "qwen3", "mistral", "smollm3", "gemma")
"""Decoder-only families with gated feed-forward layers and no other weights per token than linear layers."""
_PARAMETERS = {"Qwen/Qwen2.5-7B-Instruct": 7.6e9}  # from the model card


@dataclass(frozen=True, slots=True)
class Shape:
    """Weights in the linear layers that a token meets, as `qcrd.student.flops` counts them.

    A decoder-only model reads an input and writes a target with the same layers.
    """

    encoder: int  # per token of an input
    cross: int  # per token of an input, for the decoder's cross-attention
    decoder: int  # per token of a target
    head: int  # per token of a target
    outputs: int  # number of outputs of the decoder's linear layers per token of a target
    causal: bool = False  # whether it is a decoder-only model, which reads a question once for all its tasks
    # With an adapter: weights without a gradient, and again those whose inputs have none, which are the first
    # layer's before the first adapter; of the stack and of the head
    spared: int = 0
    spared_head: int = 0

    @classmethod
    def of_causal(
        cls,
        width: int,
        head_width: int,
        inner: int,
        layers: int,
        heads: int,
        kv_heads: int,
        vocabulary: int,
        adapter: Adapter | None = None,
    ) -> Shape | None:
        """The shape of a decoder-only model whose feed-forward layers are gated.

        None if the adapter's targets are not names of its linear layers.
        """
        queries, keys = head_width * heads, head_width * kv_heads
        # Inputs and outputs of a layer's linear modules, in groups that are applied one after the other.
        groups = [
            {"q_proj": (width, queries), "k_proj": (width, keys), "v_proj": (width, keys)},
            {"o_proj": (queries, width)},
            {"gate_proj": (width, inner), "up_proj": (width, inner)},
            {"down_proj": (inner, width)},
        ]
        sizes = {name: size for group in groups for name, size in group.items()}
        stack = layers * sum(read * written for read, written in sizes.values())
        outputs = layers * sum(written for _, written in sizes.values())
        if adapter is None:
            return cls(stack, 0, stack, width * vocabulary, outputs, causal=True)
        r = adapter.r
        named = sizes if adapter.targets == "all-linear" else {n.rpartition(".")[2] for n in adapter.targets}
        if not set(named) <= sizes.keys():
            return None
        spared, reached = stack, False
        for group in groups:  # of the first layer
            for name, (read, written) in group.items():
                spared += 0 if reached else read * written + (read * r if name in named else 0)
            reached = reached or any(name in named for name in group)
        added = layers * sum(r * sum(sizes[name]) for name in named)
        outputs += layers * sum(r + sizes[name][1] for name in named)
        head = width * vocabulary
        return cls(stack + added, 0, stack + added, head, outputs, True, spared, head)

    @classmethod
    def of(
        cls, width: int, head_width: int, inner: int, layers: int, heads: int, vocabulary: int, matrices: int
    ) -> Shape:
        """The shape of an architecture; see `config.Architecture` for the arguments.

        `matrices` is the number of matrices of a feed-forward layer: 3 if it is gated, else 2.
        """
        projection, dense = width * head_width * heads, matrices * width * inner
        return cls(
            encoder=layers * (4 * projection + dense),
            cross=layers * 2 * projection,
            decoder=layers * (6 * projection + dense),  # self-attention q, k, v, o; cross-attention q, o
            head=width * vocabulary,
            outputs=layers * (4 * head_width * heads + 3 * width + (matrices - 1) * inner),
        )


def shape(
    checkpoint: str | None, architecture: Architecture, vocabulary: int, adapter: Adapter | None = None
) -> Shape | None:
    """Shape of a student or discriminator; None for a Hub checkpoint that is not listed in this module.

    Args:
        checkpoint: a folder or a Hub id; None: a model with the given architecture and vocabulary.
        architecture: used if there is no checkpoint.
        vocabulary: number of tokens; used if there is no checkpoint.
        adapter: LoRA of a decoder-only model.
    """
    if checkpoint is None:
        a = architecture
        if a.family in _GATED:
            kv_heads = a.kv_heads or a.heads
            return Shape.of_causal(
                a.d_model, a.d_kv, a.d_ff, a.layers, a.heads, kv_heads, vocabulary, adapter
            )
        known = a.family == "t5"
        return Shape.of(a.d_model, a.d_kv, a.d_ff, a.layers, a.heads, vocabulary, 3) if known else None
    config = read_json(Path(checkpoint) / "config.json") if Path(checkpoint).is_dir() else None
    names = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "vocab_size")
    if isinstance(config, dict) and set(names) <= config.keys():
        gated = str(config.get("feed_forward_proj", "relu")).startswith("gated")
        width, head_width, inner, layers, heads, tokens = (config[name] for name in names)
        return Shape.of(width, head_width, inner, layers, heads, tokens, 3 if gated else 2)
    if isinstance(config, dict) and config.get("model_type") in _GATED:
        width, heads = config["hidden_size"], config["num_attention_heads"]
        return Shape.of_causal(
            width,
            config.get("head_dim") or width // heads,
            config["intermediate_size"],
            config["num_hidden_layers"],
            heads,
            config.get("num_key_value_heads") or heads,
            config["vocab_size"],
            adapter,
        )
    # FLAN-T5 has the same shape as T5 v1.1.
    dimensions = _T5.get(checkpoint.rpartition("/")[2].replace("flan-t5", "t5-v1_1"))
    return None if dimensions is None else Shape.of(*dimensions)


def teacher_parameters(teacher: Teacher) -> float | None:
    """Number of weights of a teacher that runs here; None if unknown."""
    if Path(teacher.model).is_dir():
        from qcrd.hub.model_files import find

        return float(sum(find(teacher.model, None).elements.values())) or None
    return _PARAMETERS.get(teacher.model)
