"""Presets: two sets of defaults for a grid, which its `base` overrides.

They contain only settings that differ from the defaults in `qcrd.config` or must not depend on the machine.
"""

from __future__ import annotations

from typing import Any, Literal

from qcrd.errors import ConfigError

Preset = Literal["embedded", "paper"]

# Offline, on CPUs, about a minute a cell. Figures from trials on two cores before the project began.
EMBEDDED: dict[str, Any] = {
    "task": {
        "name": "arithmetic",  # generated, so it needs no network
        "train": 720,  # the sizes of SVAMP (paper, section 4.1) ...
        "validation": 400,  # to choose the step by: 80 questions with noisy labels chose almost at random
        "test": 1000,  # ... but for the test set: at its 200 questions noise of +-7 points hides everything
    },
    "teacher": {
        "engine": "vllm",
        "model": "embedded",  # comes with the package
        "accuracy": 0.55,  # between the two teachers tried (0.44 and 0.79): good enough, and the vote matters
        "max_tokens": 96,
    },
    "student": {
        "checkpoint": None,  # no pretrained weights offline
        # Width 64, 2 + 2 layers and 8 heads learn the task in 300 steps of 32, and leave room above.
        "architecture": {"d_model": 64, "d_kv": 8, "d_ff": 128, "layers": 2, "heads": 8},
        "dropout": 0.0,  # 0.1 hurt
        "max_input": 128,
        "max_rationale": 48,  # right ones have at most 36; unending self-play of a fresh student is cut here
        "max_label": 32,
        "precision": "fp32",  # explicit, so that a grid gives the same result on every machine
    },
    "training": {
        "steps": 300,
        "batch": 32,  # as the paper
        "lr": 5e-3,  # two orders above T5's, because nothing is pretrained
        "clip": 1.0,  # such a rate needs it
        "evaluate_every": 50,
    },
    "selection": {"threshold": 0.9},  # problems of a few templates: at 0.8 hardly two of five samples differ
    # With gold labels, a student trained from scratch gains nothing from rationales.
    "rationales": {"labels": "teacher"},
    "discriminator": {
        "checkpoint": None,
        "architecture": {"d_model": 64, "d_kv": 8, "d_ff": 128, "layers": 1, "heads": 8},
        "lr": 1e-3,  # from scratch
        "batch": 16,
        "max_tokens": 65_536,  # no step has so many: of so small an encoder a step fits at once
        # At 100 steps, two passes, AUC on held-out questions was 0.58, at 300 with negatives made anew 0.64.
        "pretrain_steps": 300,
        "update_steps": 2,
        "augment": 2,
    },
}

# The paper's setting on GPUs. Where the paper is silent, Distilling Step-by-Step (DSS), its ancestor.
PAPER: dict[str, Any] = {
    "task": {"name": "svamp", "source": None},  # from the Hub; all 720/80/200 questions
    "teacher": {
        "engine": "vllm",
        "model": "Qwen/Qwen2.5-7B-Instruct",  # an open stand-in for the paper's GPT-3.5-turbo: fits one GPU
        # Which revisions of these models are taken, and why: qcrd/config/revisions.py.
        "temperature": 0.7,  # section 4.1
        "max_tokens": 256,
    },
    "student": {
        # The paper says only "T5-base"; DSS, whose code it builds on, trained the v1.1 release. The releases
        # are not comparable; google-t5/t5-base is the other.
        "checkpoint": "google/t5-v1_1-base",
        "dropout": 0.1,  # the checkpoint's configuration, which DSS trained with
        "max_input": 1024,  # DSS
        "max_rationale": 256,  # DSS
        "max_label": 32,
        "precision": "bf16",  # fp16 gives NaN in T5; explicit because precision changes the result
    },
    "training": {
        "steps": 10_000,  # DSS
        "batch": 32,  # section 4.1
        "lr": 5e-5,  # DSS
        "evaluate_every": 250,  # DSS
    },
    "rationales": {"labels": "gold", "m": 5},  # tables 1, 2, 4-7; section 4.1
    "discriminator": {
        "checkpoint": "google/t5-v1_1-base",  # section 3.3.1: encoder of T5-base
        "augmentation": "words",  # appendix A.2: words replaced by others of their class
    },
}

PRESETS: dict[Preset, dict[str, Any]] = {"embedded": EMBEDDED, "paper": PAPER}


def resolve(preset: str, gpus: float) -> Preset:
    """Resolve a grid's preset: `auto` is paper if the cluster has GPUs, else embedded.

    Args:
        preset: a grid's `preset`.
        gpus: number of GPUs in the cluster.

    Raises:
        ConfigError: for an unknown preset.
    """
    if preset == "auto":
        return "paper" if gpus > 0 else "embedded"
    if preset not in PRESETS:
        raise ConfigError(f"preset: value {preset!r}; allowed: auto, {', '.join(PRESETS)}")
    return next(name for name in PRESETS if name == preset)  # plain text, also where an enum was given
