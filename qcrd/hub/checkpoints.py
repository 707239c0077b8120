"""Checkpoints of the T5 family (T5, T5 v1.1, FLAN-T5, mT5) in safetensors, from a folder or the Hub."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    MT5EncoderModel,
    MT5ForConditionalGeneration,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5EncoderModel,
    T5ForConditionalGeneration,
)
from transformers.utils.hub import REGEX_COMMIT_HASH, ResolvedRevision, resolve_revision

from qcrd.errors import ConfigError
from qcrd.fingerprint import fingerprint_path
from qcrd.hub.places import place
from qcrd.hub.smollm2 import MODELS

FAMILY: dict[str, dict[str, type[PreTrainedModel]]] = {
    "t5": {"whole": T5ForConditionalGeneration, "encoder": T5EncoderModel},  # v1.1 and FLAN-T5 too
    "mt5": {"whole": MT5ForConditionalGeneration, "encoder": MT5EncoderModel},
}
"""Model classes by `model_type` in a checkpoint's config.json."""


def pretrained(
    field: str,
    name: str,
    revision: str | None,
    part: Literal["whole", "encoder"],
    tokenizer: PreTrainedTokenizerBase,
    **changes: Any,
) -> PreTrainedModel:
    """Load the model of a checkpoint, in float32.

    Args:
        field: name of the setting, for error messages.
        name: folder or Hub id.
        revision: of a Hub id; None is the newest. With a commit hash (see `commit`), transformers does not
            fall back to the Hub's automatic conversion of a "main" branch without safetensors.
        part: encoder and decoder, or the encoder alone.
        tokenizer: the tokenizer that the model is used with.
        changes: overrides of the model's configuration.

    Raises:
        ConfigError: if the checkpoint is missing or unreachable, is of another family, has no weights in
            safetensors, lacks some weights, or has a smaller vocabulary than the tokenizer.
    """
    name = place(name)
    shape = _shape(field, name, revision)
    try:
        model, loading = FAMILY[shape.model_type][part].from_pretrained(
            name,
            revision=revision,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **changes,
        )
    except OSError as error:
        # Do not show transformers' advice to set use_safetensors=False: a .bin file can execute code.
        unsafe = "file named" in str(error) and "safetensors" in str(error)
        raise _unsafe(field, name, revision) if unsafe else _unreachable(field, name, error) from error
    if missing := loading["missing_keys"]:
        raise ConfigError(
            f"{field}: {name!r} lacks {len(missing)} weights ({min(missing)}, ...), which would be random; "
            "name a complete checkpoint"
        )
    if shape.vocab_size < len(tokenizer):
        raise ConfigError(
            f"{field}: {name!r} knows {shape.vocab_size} tokens, the student's tokenizer has "
            f"{len(tokenizer)}; use a checkpoint and a tokenizer of the same family"
        )
    return model


def commit(name: str, revision: str | None) -> str | None:
    """The commit hash of a revision of a Hub id; None for a folder, or if it cannot be resolved."""
    if name in MODELS or Path(name).exists():
        return None
    resolution = resolve_revision(name, revision)
    if isinstance(resolution, ResolvedRevision):
        resolved: str | None = resolution.resolved
        return resolved
    return resolution if resolution is not None and REGEX_COMMIT_HASH.match(resolution) else None


def pretrained_tokenizer(field: str, name: str, revision: str | None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or Hub id. The object is cached and shared: do not modify it.

    Raises:
        ConfigError: if it is missing or unreachable.
    """
    name = place(name)
    try:
        content = fingerprint_path(Path(name)) if Path(name).is_dir() else None
        return _tokenizer(name, revision, content)
    except (OSError, ValueError) as error:
        raise _unreachable(field, name, error) from error


@lru_cache(maxsize=4)
def _tokenizer(name: str, revision: str | None, content: str | None) -> PreTrainedTokenizerBase:
    """Load a tokenizer once per process; `content` changes the cache key if a folder's files change."""
    return AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)


def _shape(field: str, name: str, revision: str | None) -> PretrainedConfig:
    try:
        shape = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _unreachable(field, name, error) from error
    if shape.model_type not in FAMILY:
        raise ConfigError(
            f"{field}: {name!r} is a {shape.model_type} model; allowed: the T5 family ({', '.join(FAMILY)}), "
            "such as google-t5/t5-base, google/t5-v1_1-base, google/flan-t5-base, google/mt5-base"
        )
    return shape


def _unreachable(field: str, name: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{field}: {name!r} could not be loaded ({type(error).__name__}: {error}); give a folder in the "
        "Hugging Face format or a Hub id. Without a connection: `hf download` it where there is one, and "
        "name the folder"
    )


def _unsafe(field: str, name: str, revision: str | None) -> ConfigError:
    return ConfigError(
        f"{field}: {name!r} (revision {revision or 'main'}) has no weights in safetensors, and other formats "
        "can execute code; name a revision that has them (the Hub's own conversions are pull requests of "
        "SFconvertbot: revision refs/pr/N), or convert it once, elsewhere and if you trust it: "
        "AutoModelForSeq2SeqLM.from_pretrained(NAME).save_pretrained(FOLDER), and the tokenizer likewise"
    )
