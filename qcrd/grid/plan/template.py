"""The commented grid that `qcrd init` writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from qcrd.config import Discriminator, Own
from qcrd.errors import ConfigError
from qcrd.teacher.recorded import RecordedTeacher

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_GENERATED = "arithmetic"
M = 5  # samples a question (QCRD, section 4.1)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a new grid is to be about."""

    name: str
    task: str
    data: str | None = None  # task.source
    own: Own | None = None  # the fields of one's own data
    teacher: str | None = (
        None  # a model, a server's address, or a file of recorded answers; None: the preset's
    )
    model: str | None = None  # the server's name of the model
    student: str | None = None  # a checkpoint; None: the preset's
    steps: int | None = None  # None: the preset's
    gpus: bool = True  # whether students train on GPUs


def check_name(name: str) -> None:
    """Check a grid's name.

    Raises:
        ConfigError: if it is none.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"NAME: value {name!r}; allowed: lower-case letters, digits, - and _, beginning with a letter or "
            "digit; the grid is written to NAME.yaml"
        )


def text(wishes: Wishes) -> str:
    """The grid's file.

    Raises:
        ConfigError: if the wishes do not go together.
    """
    generated = wishes.task == _GENERATED
    if generated and wishes.data:
        raise ConfigError(f"--data: the problems of {_GENERATED} are generated; leave it out, or --task own")
    file = f"{wishes.name}.yaml"
    preset = (
        "preset: embedded  # offline, on CPUs: qcrd/config/presets.py"
        if generated
        else "preset: paper  # natural text: T5 checkpoints, a teacher through vLLM: qcrd/config/presets.py"
    )
    teacher, m = _teacher(wishes)
    labels = "teacher" if generated else "gold"  # as the embedded preset, which says why
    base = [*_task(wishes), *teacher, *_student(wishes, generated), *_training(wishes, generated)]
    lines = [
        "#!/usr/bin/env -S python -m qcrd run",
        "# Written by `qcrd init`; change what you like. Every setting: `qcrd settings`, docs/settings.md.",
        f"#   qcrd doctor {file}    checks data, models and this machine",
        f"#   qcrd plan {file}      cells, samples to draw, estimated time",
        f"#   qcrd run {file}       runs it, or continues",
        f"#   qcrd table {file}     the results",
        f"name: {wishes.name}",
        f"description: {_yaml(f'Finetuning, Distilling Step-by-Step and QCRD on {_subject(wishes)}')}",
        preset,
        "",
        "base:  # of every cell, over the preset",
        *(f"  {line}" for line in base),
        f"  rationales: {{m: {m}, labels: {labels}}}  # m: answers a question; labels: gold, teacher",
        "",
        "product:  # every combination of these is a cell",
        "  method: [finetuning, dss, qcrd]  # also single_task, morsd, edit",
        "# sweep:  # one at a time around the base",
        "#   beta: [0, 0.1, 0.2, 0.5]",
        "baseline: {method: dss}  # what the others are compared with",
        "seeds: 1  # one seed tells nothing about methods; 3 or more do",
        "",
        "resources: {}  # cell_gpus: 0.25, cell_cpus: 2, teacher_gpus: 1, ...: `qcrd settings resources`",
    ]
    return "\n".join(lines) + "\n"


def _subject(wishes: Wishes) -> str:
    if wishes.task == _GENERATED:
        return "generated word problems"
    return wishes.task if wishes.data is None or wishes.task != "own" else Path(wishes.data).name


def _task(wishes: Wishes) -> list[str]:
    lines = ["task:", f"  name: {wishes.task}"]
    if wishes.data is not None:
        lines.append(f"  source: {_yaml(wishes.data)}")
    if wishes.own is not None:
        own = wishes.own.model_dump(mode="json", exclude_defaults=True) | {"kind": wishes.own.kind}
        for field in ("question", "label"):
            own.setdefault(field, getattr(wishes.own, field))
        order = ("question", "label", "kind", "choices")
        lines.append("  own:  # fields of your data: `qcrd settings task.own`, docs/own-data.md")
        lines += [f"    {key}: {_yaml(own.pop(key))}" for key in order if key in own]
        lines += [f"    {key}: {_yaml(value)}" for key, value in own.items()]
        lines.append("  # validation: 80  # questions; where the data has no such split, a tenth is held out")
    if wishes.task != _GENERATED:
        lines.append(f"  # prompt: {wishes.name}.txt  # instructions and examples for the teacher")
    return lines


def _teacher(wishes: Wishes) -> tuple[list[str], int]:
    """The teacher's lines, and the samples a question."""
    named = wishes.teacher
    if named is None:
        if wishes.task == _GENERATED:
            return ["# teacher: a small one that comes with qcrd, sampled with vLLM"], M
        return [
            "# teacher: {model: Qwen/Qwen2.5-7B-Instruct}  # the preset's; any model that vLLM can serve"
        ], M
    if re.match(r"https?://", named):
        if wishes.model is None:
            raise ConfigError("--model is needed beside a server's address: the server's name of the model")
        return [
            "teacher:",
            "  engine: openai  # any server with OpenAI's protocol",
            f"  base_url: {_yaml(named)}",
            f"  model: {_yaml(wishes.model)}",
            "  # the key is read from OPENAI_API_KEY: resources: {api: {key: ANOTHER_VARIABLE}}",
        ], M
    if wishes.model is not None:
        raise ConfigError(f"--model only goes with a server's address as --teacher, not with {named!r}")
    if Path(named).is_file():
        m = max(map(len, RecordedTeacher(named).answers.values()))
        return ["teacher:", "  engine: recorded  # answers in a file", f"  path: {_yaml(named)}"], m
    if named.endswith((".jsonl", ".json", ".zip")):
        raise ConfigError(
            f"--teacher: there is no file {named}; allowed: a model, a server's address, or a file"
        )
    return ["teacher:", "  engine: vllm", f"  model: {_yaml(named)}  # a Hub id or a folder"], M


def _student(wishes: Wishes, generated: bool) -> list[str]:
    lines = []
    if wishes.student is not None:
        lines.append(f"  checkpoint: {_yaml(wishes.student)}  # T5 or decoder-only: a folder or a Hub id")
    if not wishes.gpus and not generated:
        lines.append("  precision: fp32  # no GPU here; bf16 where there is one")
    if wishes.student is not None:
        lines += [f"discriminator: {{checkpoint: {_in_brackets(wishes.student)}{_pretraining(wishes)}}}"]
        return ["student:", *lines]
    default = "a small T5 with random weights" if generated else "google/t5-v1_1-base"
    hint = f"checkpoint: ...  # the preset's is {default}: docs/students.md"
    return ["student:", f"  # {hint}", *lines] if lines else [f"# student: {{{hint.replace('  #', '}  #')}"]


def _pretraining(wishes: Wishes) -> str:
    """The discriminator's pretraining, which is not to be longer than the student's training."""
    default = Discriminator().pretrain_steps
    short = wishes.steps is not None and wishes.steps < default
    return f", pretrain_steps: {wishes.steps}" if short else ""


def _training(wishes: Wishes, generated: bool) -> list[str]:
    if wishes.steps is None:
        steps = "300 steps" if generated else "10,000 steps, as in DSS"
        return [f"# training: {{steps: 300, evaluate_every: 50}}  # the preset's: {steps}"]
    every = max(1, wishes.steps // 6)
    return [f"training: {{steps: {wishes.steps}, evaluate_every: {every}}}"]


def _yaml(value: Any) -> str:
    """A value on one line of YAML."""
    dumped = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...").strip()


def _in_brackets(value: Any) -> str:
    """A value of a mapping or list on one line, where commas and brackets need quotes."""
    return _yaml([value])[1:-1]
