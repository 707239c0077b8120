"""Guesses which fields of a data set hold question, label, choices, rationale and id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from qcrd import config, tasks
from qcrd.errors import ConfigError, DataError
from qcrd.tasks.own.files import rows

_PAIRS = (("premise", "hypothesis"), ("context", "question"), ("passage", "question"), ("body", "question"))
_QUESTION = ("question", "problem", "prompt", "input", "query", "stem", "text", "sentence")
_LABEL = ("label", "answer", "answerkey", "target", "final_answer", "gold", "output", "equation")
_CHOICES = ("choices", "options")
_RATIONALE = ("rationale", "explanation", "reasoning", "why", "cot")
_ID = ("id", "qid", "question_id", "uid")
_MARKER = "####"  # GSM8K's
MAX_LABELS = 10  # distinct labels that still count as the choices of all questions
ROWS_PER_LABEL = 5  # as many rows at least for each of them


def detect(source: str, **given: Any) -> config.Own:
    """The description of a data set's fields, with which it can be loaded.

    Fields are found by their usual names; the kind of the labels is the first of choice, equation, the same
    few labels for all questions, and text that every row fits.

    Args:
        source: value of `task.source`.
        given: settings of `task.own` that are not to be guessed.

    Raises:
        DataError: if there is no field that looks like a question or a label, or the data cannot be loaded.
    """
    found = rows(config.Task(name="own", source=source, own=config.Own.model_validate(_splits(given))))
    train = found["train"]
    names = list(dict.fromkeys(name for row in train for name in row.fields))
    fields = {name: value for name, value in _fields(names).items() if name not in given}
    if label := given.get("label") or fields.get("label"):
        fields = {name: field for name, field in fields.items() if name == "label" or field != label}
    for needed in ("question", "label"):
        if needed not in given and needed not in fields:
            raise DataError(
                f"--{needed}: no field of {source} has a usual name for it; name one of {', '.join(names)}"
            )
    if given.get("kind", "choice") != "choice":
        fields.pop("choices", None)  # only read where the kind is choice
    own = {**fields, **given}
    labels = [str(row.fields.get(own["label"], "")) for row in train]
    if "label_after" not in own and labels and all(_MARKER in label for label in labels):
        own |= {"label_after": _MARKER, "rationale": own.get("rationale", own["label"])}
    return _loadable(source, own, labels)


def _fields(names: Sequence[str]) -> dict[str, Any]:
    """The field for each setting, by its name, in the order of preference."""
    lower = {name.lower(): name for name in reversed(names)}
    found: dict[str, Any] = {
        setting: lower[candidates[0]]
        for setting, words in (
            ("question", _QUESTION), ("label", _LABEL), ("choices", _CHOICES), ("rationale", _RATIONALE),
            ("id", _ID),
        )
        if (candidates := [word for word in words if word in lower])
    }  # fmt: skip
    pair = next((pair for pair in _PAIRS if all(word in lower for word in pair)), None)
    return {**found, "question": [lower[word] for word in pair]} if pair else found


def _loadable(source: str, own: dict[str, Any], labels: Sequence[str]) -> config.Own:
    """The first description with which the data can be loaded."""
    error: DataError | None = None
    for kind in _kinds(own, labels):
        try:
            described = config.Own.model_validate({**own, **kind})
        except ValidationError as problem:
            raise ConfigError("; ".join(each["msg"] for each in problem.errors())) from problem
        section = config.Task(name="own", source=source, own=described)
        try:
            tasks.of(section).load(section)
        except DataError as caught:
            error = caught
        else:
            return described
    raise error or DataError(f"{source}: no kind of label fits")


def _kinds(own: dict[str, Any], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    if "kind" in own or "choices" in own:
        yield {} if "kind" in own else {"kind": "choice"}
        return
    yield {"kind": "equation"}
    counts = Counter(label.strip() for label in labels)
    if 2 <= len(counts) <= MAX_LABELS and len(labels) >= ROWS_PER_LABEL * len(counts) and "" not in counts:
        yield {"kind": "choice", "choices": sorted(counts)}
    yield {"kind": "text"}


def _splits(given: dict[str, Any]) -> dict[str, Any]:
    """What is needed to read the rows."""
    wanted = ("train_split", "validation_split", "test_split", "subset", "revision")
    return {name: given[name] for name in wanted if name in given}
