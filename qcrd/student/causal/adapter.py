"""LoRA adapters by peft, an optional dependency; the base weights are shared by all students of a process."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.storage.files import read_json, write_json

CONFIG = "adapter_config.json"


def share(model: PreTrainedModel) -> PreTrainedModel:
    """A model of its own modules over the same weights, which must not be trained."""
    tensors = (*model.parameters(), *model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


def require_peft() -> None:
    """Check that peft can be imported.

    Raises:
        ConfigError: where it cannot.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"student.adapter needs peft ({error}); install qcrd[lora], or leave student.adapter out"
        ) from error


def adapt(model: PreTrainedModel, adapter: config.Adapter, seed: int) -> nn.Module:
    """Freeze a model and put an adapter into it, in place; the model computes the same until it is trained.

    Args:
        model: gets the adapter's modules; weights may be shared (see `share`).
        adapter: its settings.
        seed: of its weights; the global random stream stays as it is.

    Returns:
        peft's model around it, which saves the adapter.

    Raises:
        ConfigError: where peft is not installed, or no module has such a name.
    """
    require_peft()
    from peft import LoraConfig, get_peft_model

    targets = adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets)
    head = next(n for n, m in model.named_modules() if m is model.get_output_embeddings())
    if head in targets or head in (target.rpartition(".")[2] for target in targets):
        raise ConfigError(f"student.adapter.targets: {head!r} is the head, which stays as it is")
    settings: dict[str, Any] = {
        "r": adapter.r,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, LoraConfig(**settings))
        except ValueError as error:
            raise ConfigError(f"student.adapter.targets: {error}") from error


@contextmanager
def adapter_off(model: PreTrainedModel) -> Iterator[None]:
    """Have a model compute as without its adapter, for a while."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    trainable = [p for p in model.parameters() if p.requires_grad]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for parameter in trainable:  # peft freezes what is off
            parameter.requires_grad_(True)


def load_adapter(adapted: nn.Module, folder: Path) -> None:
    """Take the weights of an adapter that `save_adapter` wrote.

    Raises:
        ConfigError: where it is an adapter of other modules.
    """
    from peft import load_peft_weights, set_peft_model_state_dict

    keys: Any = set_peft_model_state_dict(adapted, load_peft_weights(str(folder), device="cpu"))
    if unexpected := keys.unexpected_keys:
        raise ConfigError(f"{folder}: an adapter of other modules than the student's ({unexpected[0]}, ...)")


def save_adapter(adapted: nn.Module, folder: Path, commit: str | None = None) -> None:
    """Write the adapter alone, in peft's format (safetensors), with the name of its base.

    Args:
        adapted: what `adapt` returned.
        folder: where to.
        commit: the Hub's commit of the base; None for a folder or random weights.
    """
    adapted.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)  # peft's template of a model card, with nothing in it
    settings: dict[str, Any] = read_json(folder / CONFIG) or {}
    if isinstance(settings["target_modules"], list):  # of a set, in any order
        settings["target_modules"].sort()
    write_json(folder / CONFIG, settings | {"revision": commit})


def base_revision(folder: Path) -> str | None:
    """The Hub's commit that a saved adapter's base was loaded from; None if it is not known."""
    return (read_json(folder / CONFIG) or {}).get("revision")


def merged(adapted: nn.Module) -> PreTrainedModel:
    """A copy of the whole model with the adapter's products added to the base weights."""
    return copy.deepcopy(adapted).merge_and_unload(safe_merge=True)


def base_alone(adapted: nn.Module) -> PreTrainedModel:
    """A copy of the model that the adapter was put into."""
    return copy.deepcopy(adapted).unload()
