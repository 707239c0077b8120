"""Entries and traces for people, and for programs."""

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


def entry_text(found: Entry) -> str:
    """A cell, a line for each thing."""
    lines = [f"cell {found.id}: {found.name} ({found.status})", *_part("result", _result(found))]
    lines += _part("settings that the result depends on", _settings(found.settings))
    if found.sampler is not None:
        lines += _part("teacher", _sampler(found.sampler))
    where = {name: str(place) if place else "not kept" for name, place in found.kept.items()}
    return "\n".join([*lines, *_part("kept", where)])


def trace_text(found: Trace, entry: Entry) -> str:
    """A question, from the student's answer down to the teacher's."""
    lines = [f"question {found.question.id}: number {found.number} of {found.split}"]
    lines += [*_block(found.question.text), *_fields(_gold(found.question))]
    if found.prediction is not None:
        said = {
            "answer": found.prediction.text or "(nothing)",
            "label": f"{found.prediction.label}: {'right' if found.prediction.correct else 'wrong'}",
        }
        lines += _part(f"the student's answer, step {entry.chosen_step}", said)
    if found.explanations:
        said = {f"tau {tau}": text or "(nothing)" for tau, text in found.explanations.items()}
        lines += _part("its rationales, as `qcrd judge` asked for them", said)
    if found.training is not None:
        lines += _training(found.training, entry.settings["labels"])
    if found.vote is not None and found.answers is not None:
        lines += _part("the vote", {"winner": _winner(found.vote, found.answers)})
        lines += _answers(found.answers)
    if found.split != "train":
        lines += ["", "the rationales that it learned from are its training questions': --split train"]
    lines += [
        line for note in found.notes for line in textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="  ")
    ]
    return "\n".join(lines)


def as_object(found: Any) -> Any:
    """Dataclasses, paths and tuples as JSON has them."""
    if is_dataclass(found) and not isinstance(found, type):
        found = asdict(found)
    if isinstance(found, dict):
        return {str(key): as_object(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [as_object(value) for value in found]
    return str(found) if isinstance(found, Path) else found


def _result(found: Entry) -> dict[str, str]:
    lines = {"message": found.message} if found.message else {}
    for split, accuracy in found.accuracy.items():
        score = found.scores.get(split)
        counted = f", {score.right} of {score.questions} questions" if score else ""
        lines[split] = f"{accuracy:.1f}%{counted}"
    if not found.scores:
        lines["predictions"] = "not kept"
    versions = [f"{name} {version}" for name, version in found.versions.items()]
    return lines | {
        "chosen step": f"{found.chosen_step} (best validation accuracy, the first of equals)",
        "took": f"{found.seconds:.0f} s",
        "with": ", ".join(versions),
    }


def _settings(identity: dict[str, Any]) -> dict[str, str]:
    single = [f"{name} {_shown(v)}" for name, v in identity.items() if not isinstance(v, dict)]
    sections = {name: _shown(value) for name, value in identity.items() if isinstance(value, dict)}
    return {"": ", ".join(single), **sections}


def _sampler(found: Sampler) -> dict[str, str]:
    known = found.identity or {}
    engine = f"{known['engine']} {known.get('version') or ''}".strip() if known else "no longer known"
    return {
        "engine": engine,
        "identity": _shown({k: v for k, v in known.items() if k not in ("engine", "version")}),
        "as it was set": _shown(found.settings),
        "answers": f"{found.samples} to a question, sampler {found.id}"
        + ("" if known else f", which is gone from {found.folder.parent}"),
    }


def _training(found: Training, labels: str) -> list[str]:
    lines = _part(
        "what it offered for training",
        {
            "label": f"{found.label} ({labels})"
            if found.label is not None
            else "none: the question is left out",
            "positives": f"rationales whose answer is {found.denoise}'s",
        },
    )
    for candidate in found.candidates:
        lines += ["", f"  {_figures(candidate)}", *_block(candidate.text, "    ")]
    return lines if found.candidates else [*lines, "  no rationales"]


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


def _winner(found: Vote, answers: Answers) -> str:
    if found.label is None:
        return f"none of {len(answers.draws)} answers could be read"
    tie = "; a tie, the first drawn wins" if found.tie else ""
    return f"{found.label}, {found.votes} of {found.candidates} readable answers{tie}"


def _answers(found: Answers) -> list[str]:
    lines = []
    for draw in found.draws:
        read = draw.parsed
        label = f"label {read.label}" if read.label is not None else f"unreadable: {read.reason}"
        counted = f", {draw.tokens} tokens" if draw.tokens else ""
        where = draw.shard.name if draw.shard else "?"
        lines += [
            "",
            f"answer {draw.index}: {label}; ended by {draw.finish_reason}{counted}, seed {draw.seed}",
        ]
        lines += [f"  in {where}", *_block(draw.text)]
    return [*lines, "", f"prompt {found.prompt_id}", *_block(found.prompt)]


def _gold(question: Question) -> dict[str, str]:
    found = {"choices": ", ".join(question.choices)} if question.choices else {}
    found["gold"] = question.label
    return found | ({"gold rationale": question.rationale} if question.rationale else {})


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
    """Line by line as a model wrote it; what would steer the terminal is spelt out."""
    spelt = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    return [f"{margin}| {line}" for line in spelt.split("\n")]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{k} ({_shown(v)})" if isinstance(v, dict) else f"{k} {_shown(v)}" for k, v in value.items()
        )
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
