"""How many weights a model multiplies a token with, known before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qcrd.config import Architecture, Teacher
from qcrd.storage.files import read_json

# d_model, d_kv, d_ff, layers, heads, vocabulary, matrices of a feed-forward layer: of their config.json.
_T5 = {
    "t5-small": (512, 64, 2048, 6, 8, 32128, 2),
    "t5-base": (768, 64, 3072, 12, 12, 32128, 2),
    "t5-large": (1024, 64, 4096, 24, 16, 32128, 2),
    "t5-v1_1-small": (512, 64, 1024, 8, 6, 32128, 3),
    "t5-v1_1-base": (768, 64, 2048, 12, 12, 32128, 3),
    "t5-v1_1-large": (1024, 64, 2816, 24, 16, 32128, 3),
}
_PARAMETERS = {"Qwen/Qwen2.5-7B-Instruct": 7.6e9}  # its model card


@dataclass(frozen=True, slots=True)
class Shape:
    """Weights in the linear layers of a T5, as `qcrd.student.flops` counts them."""

    encoder: int  # for each token of an input
    cross: int  # for each token of an input that the decoder attends to
    decoder: int  # for each token of a target
    head: int  # for each token of a target
    outputs: int  # numbers that the decoder's linear layers give for each token of a target

    @classmethod
    def of(
        cls, width: int, head_width: int, inner: int, layers: int, heads: int, vocabulary: int, matrices: int
    ) -> Shape:
        """See `config.Architecture`; `matrices` is 3 where the feed-forward layer is gated, else 2."""
        projection, dense = width * head_width * heads, matrices * width * inner
        return cls(
            encoder=layers * (4 * projection + dense),
            cross=layers * 2 * projection,
            decoder=layers * (6 * projection + dense),  # own q, k, v, o; of the cross attention q and o
            head=width * vocabulary,
            outputs=layers * (4 * head_width * heads + 3 * width + (matrices - 1) * inner),
        )


def shape(checkpoint: str | None, architecture: Architecture, vocabulary: int) -> Shape | None:
    """Of a student or discriminator; None for a checkpoint of the Hub that is not in the list here.

    Args:
        checkpoint: a folder or a Hub id.
        architecture: where there is no checkpoint.
        vocabulary: the same.
    """
    if checkpoint is None:
        a = architecture
        return Shape.of(a.d_model, a.d_kv, a.d_ff, a.layers, a.heads, vocabulary, 3)
    read = read_json(Path(checkpoint) / "config.json") if Path(checkpoint).is_dir() else None
    names = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "vocab_size")
    if isinstance(read, dict) and set(names) <= read.keys():
        gated = str(read.get("feed_forward_proj", "relu")).startswith("gated")
        width, head_width, inner, layers, heads, words = (read[name] for name in names)
        return Shape.of(width, head_width, inner, layers, heads, words, 3 if gated else 2)
    # FLAN-T5 has the shape of v1.1.
    known = _T5.get(checkpoint.rpartition("/")[2].replace("flan-t5", "t5-v1_1"))
    return None if known is None else Shape.of(*known)


def parameters(teacher: Teacher) -> float | None:
    """Weights of a teacher that is loaded here, for each of its tokens; None where they are not known."""
    if Path(teacher.model).is_dir():
        from qcrd.hub.model_files import find

        return float(sum(find(teacher.model, None).elements.values())) or None
    return _PARAMETERS.get(teacher.model)
