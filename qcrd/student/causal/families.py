"""Which causal language models can be students, and how they are loaded or randomly initialised."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.hub.places import place
from qcrd.student.causal import attention
from qcrd.student.causal.forward import Completions, Likelihood

EXAMPLES = "llama, qwen2, qwen3, smollm3, gemma, mistral, phi, gpt_neox"
CHECKED = (5, 4, 3)  # tokens of a prompt and of its two completions that a new model is tried with
TOLERANCE = 1e-4  # nats by which packed and plain passes may differ; measured: 1e-6


def allowed(family: str) -> str | None:
    """Why models of a `model_type` cannot be decoder-only students; None where they may."""
    if family in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "an encoder-decoder"
    if family in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "an encoder"
    if family not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "no causal language model"
    return None


def pretrained(field: str, name: str, revision: str | None, dropout: float = 0.0) -> PreTrainedModel:
    """The causal model of a folder or Hub id, in float32, safetensors only and without remote code.

    Args:
        field: the setting that names it, for messages.
        name: folder or Hub id.
        revision: of a Hub id; None is the newest.
        dropout: of attention probabilities, where the family has it.

    Raises:
        ConfigError: where it is absent, of a family that cannot be a student, lacks weights in safetensors,
            or is computed in a way that packed rows do not reproduce.
    """
    name = place(name)
    try:
        shape = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        _require(field, name, shape)
        model, report = AutoModelForCausalLM.from_pretrained(
            name,
            revision=revision,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            attn_implementation=attention.NAME,
            attention_dropout=dropout,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{field}: {name!r} could not be loaded ({type(error).__name__}: {error}); give a Hub id or a "
            "folder in the Hugging Face format with weights in safetensors"
        ) from error
    if lacking := report["missing_keys"]:
        raise ConfigError(f"{field}: {name!r} lacks {len(lacking)} weights ({min(lacking)}, ...)")
    check(field, name, model)
    return model


def random(
    field: str,
    shape: config.Architecture,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    dropout: float = 0.0,
) -> PreTrainedModel:
    """A randomly initialised model of `random_config`; the arguments are its.

    Args:
        seed: of the weights; the global random stream stays as it is.
    """
    settings = random_config(field, shape, tokenizer, dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            settings,
            dtype=torch.float32,
            trust_remote_code=False,
            attn_implementation=attention.NAME,
        )
    check(field, shape.family, model)
    return model


def random_config(
    field: str,
    shape: config.Architecture,
    tokenizer: PreTrainedTokenizerBase,
    dropout: float = 0.0,
) -> PretrainedConfig:
    """Configuration of a model for a tokenizer, with its head tied to the embeddings.

    Args:
        field: the setting that gives the shape, for messages.
        shape: family and sizes.
        tokenizer: whose vocabulary it has.
        dropout: of attention probabilities, where the family has it.

    Raises:
        ConfigError: where the family cannot be a student.
    """
    if reason := allowed(shape.family):
        raise ConfigError(_refusal(f"{field}.family", shape.family, reason))
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": shape.d_model,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads or shape.heads,
        "head_dim": shape.d_kv,
        "intermediate_size": shape.d_ff,
        "attention_dropout": dropout,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    found: PretrainedConfig = CONFIG_MAPPING[shape.family](**settings)
    return found


@torch.no_grad()
def check(field: str, name: str, model: PreTrainedModel) -> None:
    """Compare packed rows with plain passes on a few tokens, since families compute differently.

    Raises:
        ConfigError: where they differ: attention that transformers does not let one replace, states that
            run over the sequence, a head that is more than a product.
    """
    vocabulary = model.get_input_embeddings().num_embeddings
    ids = [(7919 * n + 3) % vocabulary for n in range(sum(CHECKED))]
    prompt, *rows = (ids[sum(CHECKED[:n]) :][:length] for n, length in enumerate(CHECKED))
    was_training = model.training
    model.eval()
    try:
        packed = Likelihood(model, bf16=False).cross_entropy(Completions([prompt, prompt], rows))
        for value, row in zip(packed.tolist(), rows, strict=True):
            logits = model(input_ids=torch.tensor([[*prompt, *row]], device=model.device)).logits[0]
            wanted = logits[len(prompt) - 1 : -1].float().log_softmax(-1)
            wanted = -wanted[range(len(row)), row].mean().item()
            if not abs(value - wanted) <= TOLERANCE * max(1, abs(wanted)):
                raise ValueError(f"{value:.4f} instead of {wanted:.4f} nats")
    except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError) as error:
        reason = f"a model whose completions cannot be computed in packed rows ({error})"
        raise ConfigError(_refusal(field, name, reason)) from error
    finally:
        model.train(was_training)


def _require(field: str, name: str, shape: PretrainedConfig) -> None:
    reason = allowed(shape.model_type)
    if reason is None and type(shape) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        reason = "no causal language model"
    if reason is not None:
        raise ConfigError(_refusal(field, f"{name!r} (model_type {shape.model_type})", reason))


def _refusal(field: str, name: str, reason: str) -> str:
    return (
        f"{field}: {name} is {reason}; allowed: decoder-only families that transformers loads without remote "
        f"code, such as {EXAMPLES}"
    )
