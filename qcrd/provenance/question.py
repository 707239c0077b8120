"""One question of a cell, followed back from the student's answer to what the teacher was asked."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qcrd.cell.finished import Ended
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
    """What a training question offered."""

    label: str | None  # that was trained on; None dropped the question
    denoise: str  # whose answer a positive gives: gold, or the majority's
    candidates: list[Candidate]


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is known of one question in one cell."""

    split: str
    number: int  # in its split, from 0
    question: Question
    prediction: Prediction | None  # of the chosen step; None for training questions
    explanations: dict[str, str]  # what the student wrote for `qcrd judge`, by temperature
    answers: Answers | None  # the teacher's, where the cell read some
    vote: Vote | None
    training: Training | None  # for a training question
    notes: list[str] = field(default_factory=list)  # what is not kept, and what figures are of


def trace(ended: Ended, home: Home, asked: str, split: str = "test") -> Trace:
    """Follow one question back.

    Args:
        ended: the cell.
        home: where its samples and models are.
        asked: id of a question, or its number in `split` (from 0).
        split: train, validation or test; only read with a number.

    Raises:
        DataError: where there is no such question, or the cell's data has changed.
    """
    ended.check_data()
    split, number, question = locate(ended.cell.splits, asked, split)
    notes: list[str] = []
    version = ended.record.identity["version"]
    if version != RESULT_VERSION:
        notes.append(
            f"the cell is of version {version} of what makes results, this is version {RESULT_VERSION}: "
            "answers may be read otherwise now"
        )
    prediction = None
    if split != "train":
        rows = home.predictions(ended.record).get(split, [])
        prediction = next((p for p in rows if p.question_id == question.id), None)
        if prediction is None:
            notes.append(
                "the predictions are gone"
                if not rows
                else "it was not asked: without a readable answer of the teacher it has no label"
            )
    found = None
    if "rationales" in ended.record.identity and (
        split == "train" or (split == "validation" and ended.cell.from_teacher)
    ):
        try:
            found = answers(ended, home, question)
        except DataError as error:
            notes.append(str(error))
    result = vote(question.id, [draw.parsed for draw in found.draws] if found else [])
    return Trace(
        split,
        number,
        question,
        prediction,
        _explanations(ended, question),
        found,
        result if found else None,
        _training(ended, home, question, found, result, notes) if split == "train" else None,
        notes,
    )


def locate(splits: Splits, asked: str, split: str) -> tuple[str, int, Question]:
    """Split and number of the question with the id `asked`, or of that number in `split`.

    Raises:
        DataError: where there is none; names ids that are near.
    """
    for name in SPLITS:
        for number, question in enumerate(getattr(splits, name)):
            if question.id == asked:
                return name, number, question
    questions = getattr(splits, split)
    if asked.isdecimal() and int(asked) < len(questions):
        return split, int(asked), questions[int(asked)]
    ids = [question.id for name in SPLITS for question in getattr(splits, name)]
    near = difflib.get_close_matches(asked, ids, n=3) or [questions[0].id]
    raise DataError(
        f"question {asked!r}: allowed: a number from 0 to {len(questions) - 1} ({split} questions; --split "
        f"train, validation or test), or an id such as {', '.join(near)}"
    )


def _training(
    ended: Ended,
    home: Home,
    question: Question,
    found: Answers | None,
    result: Vote,
    notes: list[str],
) -> Training | None:
    from qcrd.provenance.choice import weighed  # imports torch and transformers

    cell = ended.cell
    if found is None and "rationales" in ended.record.identity:
        return None
    draws = found.draws if found else []
    samples = [draw.parsed for draw in draws]
    group = rationale_set(cell, question, samples, result)
    own = sides(samples, group.answer, cell.unread)
    try:
        own = _by_tokens(cell, samples, own)
    except QcrdError as error:  # a tokenizer that is out of reach
        notes.append(f"not known which negatives have the tokens of a positive: {error}")
    sorted_draws = [
        (draw, wanted is Side.POSITIVE)
        for wanted in (Side.POSITIVE, Side.NEGATIVE)
        for draw, side in zip(draws, own, strict=True)
        if side is wanted
    ]
    rationales = [(_rationale(draw.parsed), right, draw.index) for draw, right in sorted_draws]
    labels = [group.label if right else draw.parsed.label for draw, right in sorted_draws]
    student = ended.student if ended.student.is_dir() else None
    discriminator = discriminator_file(ended, home)
    discriminator = discriminator if discriminator is not None and discriminator.exists() else None
    try:
        candidates = weighed(cell, student, discriminator, question, group.label, rationales, labels)
    except QcrdError as error:  # a checkpoint that is out of reach
        notes.append(f"no figures of student and discriminator: {error}")
        candidates = weighed(cell, None, None, question, group.label, rationales, labels)
    else:
        if rationales:
            notes += _caveats(ended, discriminator)
    denoise = ended.record.identity.get("rationales", {}).get("denoise", "gold")
    return Training(group.label, denoise, [*candidates, *_neither(draws, own)])


def _by_tokens(
    cell: ResolvedCell, samples: Sequence[Parsed], own: Sequence[Side | None]
) -> list[Side | None]:
    """The same, with those negatives apart whose tokens are a positive's."""
    from qcrd.student.token_duplicates import equal_tokens
    from qcrd.student.tokenizer import load_tokenizer

    texts = {
        wanted: [_rationale(s) for s, side in zip(samples, own, strict=True) if side is wanted]
        for wanted in (Side.POSITIVE, Side.NEGATIVE)
    }
    positives, negatives = texts[Side.POSITIVE], texts[Side.NEGATIVE]
    if not positives or not negatives:
        return list(own)
    student = cell.settings.student
    equal = iter(equal_tokens(load_tokenizer(student), positives, negatives, student.max_rationale))
    return [Side.EQUAL if side is Side.NEGATIVE and next(equal) else side for side in own]


def _rationale(parsed: Parsed) -> str:
    assert parsed.rationale is not None  # a sample without one has no side
    return parsed.rationale


def _neither(draws: Sequence[Draw], own: Sequence[Side | None]) -> list[Candidate]:
    """The distinct rationales on no side, and why."""
    why = {
        Side.UNREAD: "its label could not be read",
        Side.EQUAL: "it has the words of a positive and another label",
    }
    found: dict[tuple[str, str], list[int]] = {}
    for draw, side in zip(draws, own, strict=True):
        if side in why:
            found.setdefault((_rationale(draw.parsed), why[side]), []).append(draw.index)
    return [Candidate(text, None, tuple(rows), out=reason) for (text, reason), rows in found.items()]


def _caveats(ended: Ended, discriminator: Path | None) -> Iterator[str]:
    """What the figures of the candidates are not."""
    cell, settings = ended.cell, ended.cell.settings
    if not cell.method.explains:
        return
    if cell.method.written(settings.student) == "sequence":
        yield "l is of the whole sequence: rationale, cue and label, of a negative the label that it led to"
    if ended.student.is_dir():
        yield f"l and the choice are of the student of step {ended.record.chosen_step}, the one that is kept"
    else:
        yield "the student is not kept (resources.keep_students), so there is no l"
    section = cell.selection
    if section is not None and renewed(section):
        measured = rule_of(section).measures
        yield (
            "in training, each iteration selected by the student that it began with"
            if measured
            else f"selection.rule {section.rule} selects anew in each iteration"
        )
    if not cell.method.contrasts:
        return
    if SCHEMES[settings.contrastive.scheme].draws:
        yield f"{settings.contrastive.scheme} draws one positive and one negative anew in each step"
    else:
        yield "in training, every step chose by the student that it then had"
    if discriminator is not None:
        updates = "; its updates during training are not kept" if settings.discriminator.update_steps else ""
        yield f"s is of the discriminator as pretrained{updates}"
    elif cell.needs_discriminator:
        yield "the discriminator is not kept, so there is no s"
    if settings.selfplay.k:
        yield (
            f"{settings.selfplay.k} self-play rationales an iteration stood among the negatives too; they "
            "are not kept"
        )


def _explanations(ended: Ended, question: Question) -> dict[str, str]:
    """What `judging.rationales` wrote down."""
    found = {}
    for path in sorted((ended.folder / "rationales").glob("tau-*.json")):
        text = (read_json(path) or {}).get(question.id)
        if text is not None:
            found[path.stem.removeprefix("tau-")] = text
    return found
