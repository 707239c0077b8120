"""LoRA adapters by peft, an optional dependency; the base weights are shared by all students of a process."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from qcrd.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Adapter:
    """A low-rank adapter."""

    r: int = 16
    alpha: float = 32
    dropout: float = 0.0  # of what the adapter reads
    targets: tuple[str, ...] | str = "all-linear"  # names of linear modules; all-linear leaves out the head


def share(model: PreTrainedModel) -> PreTrainedModel:
    """A model of its own modules over the same weights, which must not be trained."""
    tensors = (*model.parameters(), *model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


def adapt(model: PreTrainedModel, adapter: Adapter, seed: int) -> nn.Module:
    """Freeze a model and put an adapter into it, in place; the model computes the same until it is trained.

    Args:
        model: gets the adapter's modules; weights may be shared (see `share`).
        adapter: its sizes.
        seed: of its weights; the global random stream stays as it is.

    Returns:
        peft's model around it, which saves the adapter.

    Raises:
        ConfigError: where peft is not installed, or no module has such a name.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ConfigError(
            f"student.adapter needs peft ({error}); install qcrd[lora], or leave student.adapter out"
        ) from error
    targets = adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets)
    head = next(n for n, m in model.named_modules() if m is model.get_output_embeddings())
    if head in targets or head in (target.rpartition(".")[2] for target in targets):
        raise ConfigError(f"student.adapter.targets: {head!r} is the head, which stays as it is")
    settings = LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return get_peft_model(model, settings)
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


def save_adapter(adapted: nn.Module, folder: Path) -> None:
    """Write the adapter alone, in peft's format (safetensors)."""
    adapted.save_pretrained(folder, safe_serialization=True)
