"""Entries and traces as text and as JSON objects."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from qcrd.provenance.candidate import Candidate
from qcrd.provenance.entry import Entry, Sampler
from qcrd.provenance.question import Trace, Training
from qcrd.provenance.samples import Answers
from qcrd.types import Question, Vote

WIDTH = 110


def entry_text(entry: Entry) -> str:
    """Text of a cell's provenance, one line per item."""
    lines = [f"cell {entry.id}: {entry.name} ({entry.status})", *_part("result", _result(entry))]
    lines += _part("settings that the result depends on", _settings(entry.settings))
    if entry.sampler is not None:
        lines += _part("teacher", _sampler(entry.sampler))
    paths = {name: str(path) if path else "not kept" for name, path in entry.kept.items()}
    return "\n".join([*lines, *_part("kept", paths)])


def trace_text(trace: Trace, entry: Entry) -> str:
    """Text of a question's provenance, from the student's answer to those of the teacher."""
    lines = [f"question {trace.question.id}: number {trace.number} of {trace.split}"]
    lines += [*_block(trace.question.text), *_fields(_gold(trace.question))]
    if trace.prediction is not None:
        prediction = {
            "answer": trace.prediction.text or "(nothing)",
            "label": f"{trace.prediction.label}: {'right' if trace.prediction.correct else 'wrong'}",
        }
        lines += _part(f"the student's answer, step {entry.chosen_step}", prediction)
    if trace.explanations:
        explanations = {f"tau {tau}": text or "(nothing)" for tau, text in trace.explanations.items()}
        lines += _part("its rationales for `qcrd judge`", explanations)
    if trace.training is not None:
        lines += _training(trace.training, entry.settings["labels"])
    if trace.vote is not None and trace.answers is not None:
        lines += _part("the vote", {"winner": _winner(trace.vote, trace.answers)})
        lines += _answers(trace.answers)
    if trace.split != "train":
        lines += ["", "for the rationales that it was trained on, see the training questions: --split train"]
    lines += [
        line for note in trace.notes for line in textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="  ")
    ]
    return "\n".join(lines)


def as_object(item: Any) -> Any:
    """Convert dataclasses, paths and tuples to objects that JSON can represent."""
    if is_dataclass(item) and not isinstance(item, type):
        item = asdict(item)
    if isinstance(item, dict):
        return {str(key): as_object(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [as_object(value) for value in item]
    return str(item) if isinstance(item, Path) else item


def _result(entry: Entry) -> dict[str, str]:
    lines = {"message": entry.message} if entry.message else {}
    for split, accuracy in entry.accuracy.items():
        score = entry.scores.get(split)
        counts = f", {score.right} of {score.questions} questions" if score else ""
        lines[split] = f"{accuracy:.1f}%{counts}"
    if not entry.scores:
        lines["predictions"] = "not kept"
    versions = [f"{name} {version}" for name, version in entry.versions.items()]
    return lines | {
        "chosen step": f"{entry.chosen_step} (best validation accuracy, the first if tied)",
        "time": f"{entry.seconds:.0f} s",
        "versions": ", ".join(versions),
    }


def _settings(identity: dict[str, Any]) -> dict[str, str]:
    single = [f"{name} {_shown(v)}" for name, v in identity.items() if not isinstance(v, dict)]
    sections = {name: _shown(value) for name, value in identity.items() if isinstance(value, dict)}
    return {"": ", ".join(single), **sections}


def _sampler(sampler: Sampler) -> dict[str, str]:
    identity = sampler.identity or {}
    engine = f"{identity['engine']} {identity.get('version') or ''}".strip() if identity else "unknown"
    return {
        "engine": engine,
        "identity": _shown({k: v for k, v in identity.items() if k not in ("engine", "version")}),
        "settings": _shown(sampler.settings),
        "answers": f"{sampler.samples} per question, sampler {sampler.id}"
        + ("" if identity else f", not kept in {sampler.folder.parent}"),
    }


def _training(training: Training, labels: str) -> list[str]:
    lines = _part(
        "candidates for training",
        {
            "label": f"{training.label} ({labels})"
            if training.label is not None
            else "none: the question is left out",
            "positives": f"rationales whose answer is the {training.denoise} one",
        },
    )
    for candidate in training.candidates:
        lines += ["", f"  {_figures(candidate)}", *_block(candidate.text, "    ")]
    return lines if training.candidates else [*lines, "  no rationales"]


def _figures(candidate: Candidate) -> str:
    draws = ", ".join(map(str, candidate.draws))
    side = {True: "positive", False: "negative", None: "neither"}[candidate.positive]
    parts = [f"{side} (answer {draws})"]
    if candidate.loss is not None:
        parts.append(f"l {candidate.loss:.3f}")
    if candidate.quality is not None:
        weight = "s" if candidate.positive else "1 - s"
        value = candidate.quality if candidate.positive else 1 - candidate.quality
        parts.append(f"s {candidate.quality:.3f}, weight {weight} {value:.3f}")
    if candidate.difficulty is not None:
        parts.append(f"RD {candidate.difficulty:+.3f}")
    if candidate.out:
        parts.append(candidate.out)
    elif candidate.share is not None:
        parts.append("not chosen" if candidate.share == 0 else f"chosen, share {candidate.share:.2g}")
    return "; ".join(parts)


def _winner(vote: Vote, answers: Answers) -> str:
    if vote.label is None:
        return f"none of {len(answers.draws)} answers could be read"
    tie = "; a tie, the first drawn wins" if vote.tie else ""
    return f"{vote.label}, {vote.votes} of {vote.candidates} readable answers{tie}"


def _answers(answers: Answers) -> list[str]:
    lines = []
    for draw in answers.draws:
        parsed = draw.parsed
        label = f"label {parsed.label}" if parsed.label is not None else f"unreadable: {parsed.reason}"
        tokens = f", {draw.tokens} tokens" if draw.tokens else ""
        file = draw.shard.name if draw.shard else "?"
        lines += [
            "",
            f"answer {draw.index}: {label}; finish reason {draw.finish_reason}{tokens}, seed {draw.seed}",
        ]
        lines += [f"  in {file}", *_block(draw.text)]
    return [*lines, "", f"prompt {answers.prompt_id}", *_block(answers.prompt)]


def _gold(question: Question) -> dict[str, str]:
    gold = {"choices": ", ".join(question.choices)} if question.choices else {}
    gold["gold"] = question.label
    return gold | ({"gold rationale": question.rationale} if question.rationale else {})


def _part(title: str, fields: dict[str, str]) -> list[str]:
    return ["", title, *_fields(fields)]


def _fields(fields: dict[str, str]) -> Iterator[str]:
    width = max(map(len, fields))
    for name, value in fields.items():
        margin = f"  {name:<{width}}  "
        yield from textwrap.wrap(
            value, WIDTH, initial_indent=margin, subsequent_indent=" " * len(margin)
        ) or [margin.rstrip()]


def _block(text: str, margin: str = "  ") -> list[str]:
    """Lines of a model's text; non-printable characters are escaped, since terminals interpret them."""
    escaped = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    return [f"{margin}| {line}" for line in escaped.split("\n")]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{k} ({_shown(v)})" if isinstance(v, dict) else f"{k} {_shown(v)}" for k, v in value.items()
        )
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
