"""Provenance of one question of a cell, from the student's answer back to the teacher's prompt."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qcrd.cell.finished import FinishedCell
from qcrd.cell.identity import RESULT_VERSION
from qcrd.cell.rationale_sets import rationale_set
from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import DataError, QcrdError
from qcrd.losses import SCHEMES
from qcrd.provenance.candidate import Candidate
from qcrd.provenance.entry import discriminator_file
from qcrd.provenance.samples import Answers, Draw, answers
from qcrd.rationales.select import renewed, rule_of
from qcrd.rationales.sets import Side, sides
from qcrd.rationales.vote import vote
from qcrd.storage.files import read_json
from qcrd.storage.home import Home
from qcrd.types import Parsed, Prediction, Question, Splits, Vote

SPLITS = ("test", "validation", "train")


@dataclass(frozen=True, slots=True)
class Training:
    """Candidates of a training question."""

    label: str | None  # training label; None if the question was left out
    denoise: str  # answer that defines positives: gold or majority
    candidates: list[Candidate]


@dataclass(frozen=True, slots=True)
class Trace:
    """Provenance of one question in one cell."""

    split: str
    number: int  # 0-based, in its split
    question: Question
    prediction: Prediction | None  # at the chosen step; None for training questions
    explanations: dict[str, str]  # the student's rationales for `qcrd judge`, by temperature
    answers: Answers | None  # the teacher's; None if the cell used none
    vote: Vote | None
    training: Training | None  # for a training question
    notes: list[str] = field(default_factory=list)  # missing data, and limitations of the values


def trace(ended: FinishedCell, home: Home, key: str, split: str = "test") -> Trace:
    """Provenance of one question.

    Args:
        ended: the cell.
        home: home with its samples and models.
        key: id of the question, or its 0-based number in `split`.
        split: train, validation or test; only used with a number.

    Raises:
        DataError: if there is no such question, or the cell's data has changed.
    """
    ended.check_data()
    split, number, question = find_question(ended.cell.splits, key, split)
    notes: list[str] = []
    version = ended.record.identity["version"]
    if version != RESULT_VERSION:
        notes.append(
            f"the cell was trained with result version {version}, the current one is {RESULT_VERSION}: "
            "answers may be parsed differently now"
        )
    prediction = None
    if split != "train":
        rows = home.predictions(ended.record).get(split, [])
        prediction = next((p for p in rows if p.question_id == question.id), None)
        if prediction is None:
            notes.append(
                "the predictions are not kept"
                if not rows
                else "not evaluated: without a readable answer of the teacher it has no label"
            )
    teacher_answers = None
    if "rationales" in ended.record.identity and (
        split == "train" or (split == "validation" and ended.cell.from_teacher)
    ):
        try:
            teacher_answers = answers(ended, home, question)
        except DataError as error:
            notes.append(str(error))
    result = vote(question.id, [draw.parsed for draw in teacher_answers.draws] if teacher_answers else [])
    return Trace(
        split,
        number,
        question,
        prediction,
        _explanations(ended, question),
        teacher_answers,
        result if teacher_answers else None,
        _training(ended, home, question, teacher_answers, result, notes) if split == "train" else None,
        notes,
    )


def find_question(splits: Splits, key: str, split: str) -> tuple[str, int, Question]:
    """Find a question by its id, or by its 0-based number in `split`.

    Returns:
        Its split, its number and the question.

    Raises:
        DataError: if there is none; the message lists similar ids.
    """
    for name in SPLITS:
        for number, question in enumerate(getattr(splits, name)):
            if question.id == key:
                return name, number, question
    questions = getattr(splits, split)
    if key.isdecimal() and int(key) < len(questions):
        return split, int(key), questions[int(key)]
    ids = [question.id for name in SPLITS for question in getattr(splits, name)]
    similar = difflib.get_close_matches(key, ids, n=3) or [questions[0].id]
    raise DataError(
        f"question {key!r}: allowed: a number from 0 to {len(questions) - 1} ({split} questions; --split "
        f"train, validation or test), or an id such as {', '.join(similar)}"
    )


def _training(
    ended: FinishedCell,
    home: Home,
    question: Question,
    teacher_answers: Answers | None,
    result: Vote,
    notes: list[str],
) -> Training | None:
    """Candidates of a training question; None if the teacher's answers are missing. Appends to `notes`."""
    from qcrd.provenance.choice import weighted_candidates  # imports torch and transformers

    cell = ended.cell
    if teacher_answers is None and "rationales" in ended.record.identity:
        return None
    draws = teacher_answers.draws if teacher_answers else []
    samples = [draw.parsed for draw in draws]
    group = rationale_set(cell, question, samples, result)
    side_of_draw = sides(samples, group.answer, cell.unread)
    try:
        side_of_draw = _mark_equal(cell, samples, side_of_draw)
    except QcrdError as error:  # for example, a tokenizer that cannot be downloaded
        notes.append(f"unknown which negatives have the same tokens as a positive: {error}")
    ordered = [
        (draw, wanted is Side.POSITIVE)
        for wanted in (Side.POSITIVE, Side.NEGATIVE)
        for draw, side in zip(draws, side_of_draw, strict=True)
        if side is wanted
    ]
    rationales = [(_rationale(draw.parsed), positive, draw.index) for draw, positive in ordered]
    labels = [group.label if positive else draw.parsed.label for draw, positive in ordered]
    student = ended.student if ended.student.is_dir() else None
    discriminator = discriminator_file(ended, home)
    discriminator = discriminator if discriminator is not None and discriminator.exists() else None
    try:
        candidates = weighted_candidates(
            cell, student, discriminator, question, group.label, rationales, labels
        )
    except QcrdError as error:  # for example, a checkpoint that cannot be downloaded
        notes.append(f"no values of student and discriminator: {error}")
        candidates = weighted_candidates(cell, None, None, question, group.label, rationales, labels)
    else:
        if rationales:
            notes += _caveats(ended, discriminator)
    denoise = ended.record.identity.get("rationales", {}).get("denoise", "gold")
    return Training(group.label, denoise, [*candidates, *_neither(draws, side_of_draw)])


def _mark_equal(
    cell: ResolvedCell, samples: Sequence[Parsed], side_of_draw: Sequence[Side | None]
) -> list[Side | None]:
    """`side_of_draw` with `Side.EQUAL` for negatives that have the same tokens as a positive."""
    from qcrd.student.token_duplicates import equal_tokens
    from qcrd.student.tokenizer import load_tokenizer

    texts = {
        wanted: [_rationale(s) for s, side in zip(samples, side_of_draw, strict=True) if side is wanted]
        for wanted in (Side.POSITIVE, Side.NEGATIVE)
    }
    positives, negatives = texts[Side.POSITIVE], texts[Side.NEGATIVE]
    if not positives or not negatives:
        return list(side_of_draw)
    student = cell.settings.student
    equal = iter(equal_tokens(load_tokenizer(student), positives, negatives, student.max_rationale))
    return [Side.EQUAL if side is Side.NEGATIVE and next(equal) else side for side in side_of_draw]


def _rationale(parsed: Parsed) -> str:
    assert parsed.rationale is not None  # a sample without one has no side
    return parsed.rationale


def _neither(draws: Sequence[Draw], side_of_draw: Sequence[Side | None]) -> list[Candidate]:
    """The distinct rationales that are neither positive nor negative, with reasons."""
    reasons = {
        Side.UNREAD: "its label could not be read",
        Side.EQUAL: "it has the tokens of a positive and another label",
    }
    draws_of: dict[tuple[str, str], list[int]] = {}
    for draw, side in zip(draws, side_of_draw, strict=True):
        if side in reasons:
            draws_of.setdefault((_rationale(draw.parsed), reasons[side]), []).append(draw.index)
    return [Candidate(text, None, tuple(rows), out=reason) for (text, reason), rows in draws_of.items()]


def _caveats(ended: FinishedCell, discriminator: Path | None) -> Iterator[str]:
    """Notes on differences between the candidates' values and those in training."""
    cell, settings = ended.cell, ended.cell.settings
    if not cell.method.explains:
        return
    if cell.method.written(settings.student) == "sequence":
        yield "l is of the whole sequence: rationale, cue and label, of a negative the label that it led to"
    if ended.student.is_dir():
        yield f"l and the choice are those of the kept student, of step {ended.record.chosen_step}"
    else:
        yield "the student is not kept (resources.keep_students), so there is no l"
    section = cell.selection
    if section is not None and renewed(section):
        measured = rule_of(section).measures
        yield (
            "in training, each iteration selected with the student at its start"
            if measured
            else f"in training, selection.rule {section.rule} re-selected in each iteration"
        )
    if not cell.method.contrasts:
        return
    if SCHEMES[settings.contrastive.scheme].draws:
        yield f"in training, {settings.contrastive.scheme} drew one positive and one negative in each step"
    else:
        yield "in training, each step chose with the student of that step"
    if discriminator is not None:
        updates = "; its updates during training are not kept" if settings.discriminator.update_steps else ""
        yield f"s is that of the discriminator after pretraining{updates}"
    elif cell.needs_discriminator:
        yield "the discriminator is not kept, so there is no s"
    if settings.selfplay.k:
        yield (
            f"in training, {settings.selfplay.k} self-play rationales per iteration were negatives too; "
            "they are not kept"
        )


def _explanations(ended: FinishedCell, question: Question) -> dict[str, str]:
    """The student's rationales for a question that `judging.rationales` saved, by temperature."""
    explanations = {}
    for path in sorted((ended.folder / "rationales").glob("tau-*.json")):
        text = (read_json(path) or {}).get(question.id)
        if text is not None:
            explanations[path.stem.removeprefix("tau-")] = text
    return explanations
