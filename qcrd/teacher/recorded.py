"""Recorded teacher answers: read from files and joined to questions by id."""

from __future__ import annotations

import json
import logging
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qcrd.config.paths import replaced
from qcrd.errors import ConfigError, DataError
from qcrd.samples import finish
from qcrd.samples.requests import Request
from qcrd.storage import archives
from qcrd.types import Sample

log = logging.getLogger(__name__)

FORM = 2
"""Format version, part of the sampler's identity: increased when the same file is parsed differently."""
_CHUNK = re.compile(r"(?:^|/)(?P<dataset>[^/]+)/llm/(?P<split>[^/]+)_CoT_(?P<number>\d+)\.json$")


class Ending(NamedTuple):
    """How a recorded answer ended, as far as the file records it."""

    finish_reason: str = "stop"  # or "length"
    tokens: int = 0  # number of generated tokens; 0 if unknown


class RecordedTeacher:
    """A SampleFn over recorded answers: draw i of a question is its i-th answer, in the file's order.

    Two formats are supported:
    - JSON lines with `id` (a string or an integer) and `samples` (raw texts). The question id is
      `<dataset>-<split>-<id>` if the line has `dataset` and `split`, else `id` itself. Optional lists, one
      entry per sample: `finish_reasons` (so that truncated answers stay marked) and `tokens` (lengths), as
      written by `qcrd samples export`; null means unknown;
    - the layout of Distilling Step-by-Step, a folder or zip with `<dataset>/llm/<split>_CoT_<i>.json`:
      JSON lists, concatenated in the order of i, with one answer per row of the data set.

    Args:
        path: the file or folder.
        prefix: prepended to each `id` to form the question id.

    Attributes:
        answers: question id to raw texts.
        endings: question id to the ending of each answer, for lines that record endings.
        shortage: number of requests so far without an answer in the file; they are skipped.

    Raises:
        ConfigError: if the path contains an unset environment variable or does not exist.
        DataError: if the content has the wrong format; names the file and line.
    """

    def __init__(self, path: str, prefix: str = ""):
        self.path = resolve(path)
        self.answers: dict[str, list[str]] = {}
        self.endings: dict[str, list[Ending]] = {}
        lists = self.path.is_dir() or zipfile.is_zipfile(self.path)
        for question_id, samples, endings in _lists(self.path) if lists else _lines(self.path):
            question_id = prefix + question_id
            if question_id in self.answers:
                raise DataError(f"{self.path}: question {question_id} has two entries; keep one")
            self.answers[question_id] = samples
            if endings:
                self.endings[question_id] = endings
        if not self.answers:
            wanted = "<dataset>/llm/<split>_CoT_<i>.json" if lists else "JSON lines with id and samples"
            raise DataError(f"{self.path}: no answers found; expected {wanted}")
        self.shortage = 0

    def check(self, requests: Sequence[Request]) -> None:
        """Check that the file belongs to the requested questions.

        Call it with all requests of a grid: the requests that are not stored yet may all lack answers.

        Raises:
            DataError: if none of the questions is in the file.
        """
        requested = {r.question_id for r in requests}
        if requested and requested.isdisjoint(self.answers):
            raise DataError(
                f"teacher.path: {self.path} has no answers to these questions (asked for {min(requested)}, "
                f"has {next(iter(self.answers))}, ...); is it of another data set?"
            )

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """The recorded answers to `requests`; missing ones are skipped, counted and logged."""
        samples = [
            self._sample(request)
            for request in requests
            if request.index < len(self.answers.get(request.question_id, ()))
        ]
        short = len(requests) - len(samples)
        if short:
            unknown = {r.question_id for r in requests} - self.answers.keys()
            log.warning(
                "%s: %d of %d answers are not recorded (%d questions have none); fewer are used",
                self.path.name, short, len(requests), len(unknown),
            )  # fmt: skip
        self.shortage += short
        yield samples

    def _sample(self, request: Request) -> Sample:
        id, index = request.question_id, request.index
        ending = self.endings[id][index] if id in self.endings else Ending()
        return Sample(request.prompt_id, id, index, self.answers[id][index], *ending)


def resolve(path: str) -> Path:
    """`path` with ~ and environment variables replaced.

    Raises:
        ConfigError: if a variable is unset or the path does not exist.
    """
    try:
        resolved = Path(replaced(path))
    except ValueError as error:
        raise ConfigError(f"teacher.path: {error}") from error
    if not resolved.exists():
        raise ConfigError(f"teacher.path: value {path!r}, but there is nothing at {resolved}")
    return resolved


def _lines(path: Path) -> Iterator[tuple[str, list[str], list[Ending]]]:
    with open(path, "rb") as file:  # as bytes, so that errors about invalid UTF-8 name the line too
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                key, samples = row["id"], row["samples"]
                if not isinstance(samples, list) or not all(isinstance(s, str) for s in samples):
                    raise TypeError("samples is not a list of texts")
                if isinstance(key, bool) or not isinstance(key, str | int):
                    raise TypeError(f"id is {key!r}, neither a text nor an integer")
                if "dataset" in row and "split" in row:
                    key = f"{row['dataset']}-{row['split']}-{key}"
                reasons = [_reason(each) for each in _parallel(row, "finish_reasons", len(samples))]
                tokens = [_count(each) for each in _parallel(row, "tokens", len(samples))]
                has_endings = row.get("finish_reasons") is not None or row.get("tokens") is not None
                endings = list(map(Ending, reasons, tokens)) if has_endings else []
            except KeyError as error:
                raise DataError(f"{path}, line {number}: the field {error} is missing") from error
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}: {error}; expected JSON with id and samples"
                ) from error
            yield str(key), samples, endings


def _parallel(row: dict[str, Any], field: str, length: int) -> list[Any]:
    """The line's list `field`, one value per sample; a list of None if the line does not have it."""
    values = row.get(field)
    if values is None:
        return [None] * length
    if not isinstance(values, list) or len(values) != length:
        raise TypeError(f"{field} is no list of {length}, one for each of the samples")
    return values


def _reason(value: Any) -> str:
    if not isinstance(value, str | None):
        raise TypeError(f"finish_reasons has {value!r}, neither a text nor null")
    # A refused or failed answer may be incomplete, so it counts as truncated; an unknown reason does not.
    return "stop" if finish.ending(value) in (None, "stop") else "length"


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | None) or (value or 0) < 0:
        raise TypeError(f"tokens has {value!r}, neither a number of tokens nor null")
    return value or 0


def _lists(path: Path) -> Iterator[tuple[str, list[str], list[Ending]]]:
    chunks: dict[tuple[str, str], dict[int, list[str]]] = {}
    for name, read in archives.files(path, lambda name: _CHUNK.search(name) is not None).items():
        match = _CHUNK.search(name)
        if match is None:  # for the type checker: `archives.files` returns only matching names
            continue
        try:
            texts = json.loads(read())
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError("not a list of texts")
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(f"{path}, {name}: {error}; expected a JSON list of texts") from error
        chunks.setdefault((match["dataset"], match["split"]), {})[int(match["number"])] = texts
    for (dataset, split), numbered in chunks.items():
        if set(numbered) != set(range(len(numbered))):
            raise DataError(
                f"{path}: the files {dataset}/llm/{split}_CoT_<i>.json have gaps ({sorted(numbered)}); "
                "without all of them the answers' rows are unknown"
            )
        rows = (text for number in sorted(numbered) for text in numbered[number])
        for row, text in enumerate(rows):
            yield f"{dataset}-{split}-{row}", [text], []
