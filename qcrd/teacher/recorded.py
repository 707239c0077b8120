"""Answers that others have drawn: read from their files and joined to questions by id."""

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
"""Part of the sampler's identity: raised where a file is read as other answers than before."""
_CHUNK = re.compile(r"(?:^|/)(?P<dataset>[^/]+)/llm/(?P<split>[^/]+)_CoT_(?P<number>\d+)\.json$")


class Ending(NamedTuple):
    """How a recorded answer ended, as far as the file says it."""

    finish_reason: str = "stop"  # or "length"
    tokens: int = 0  # generated; 0 is not known


class RecordedTeacher:
    """A SampleFn over recorded answers: draw i of a question is its i-th answer, in the file's order.

    Two forms are read:
    - JSON lines with `id` (a text or an integer) and `samples` (raw texts), joined by the question id
      `<dataset>-<split>-<id>` where the line has `dataset` and `split`, else by `id` itself. For each sample
      `finish_reasons` may say why it ended, so that one that was cut off stays so, and `tokens` how long it
      is, as `qcrd samples export` writes them; null is not known;
    - the layout of Distilling Step-by-Step, a folder or zip with `<dataset>/llm/<split>_CoT_<i>.json`:
      JSON lists that follow each other in row order, one answer per row of the data set.

    Args:
        path: the file or folder.
        prefix: what stands before each `id` to make it a question's.

    Attributes:
        answers: question id to raw texts.
        endings: question id to how each of them ended, where the file says something of it.
        shortage: requests so far that had no answer in the file, and were left out.

    Raises:
        ConfigError: if the path holds an unset environment variable or nothing is there.
        DataError: if the content has another form; names the file and line.
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
        """Ask before drawing, with all requests of a grid: those not stored yet may lack answers rightly.

        Raises:
            DataError: if none of the questions is in the file.
        """
        asked = {r.question_id for r in requests}
        if asked and asked.isdisjoint(self.answers):
            raise DataError(
                f"teacher.path: {self.path} has no answers to these questions (asked for {min(asked)}, "
                f"has {next(iter(self.answers))}, ...); is it of another data set?"
            )

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """The recorded answers to `requests`; those that there are too few of are counted and said."""
        found = [
            self._sample(request)
            for request in requests
            if request.index < len(self.answers.get(request.question_id, ()))
        ]
        short = len(requests) - len(found)
        if short:
            unknown = {r.question_id for r in requests} - self.answers.keys()
            log.warning(
                "%s: %d of %d answers are not recorded (%d questions have none); fewer are used",
                self.path.name, short, len(requests), len(unknown),
            )  # fmt: skip
        self.shortage += short
        yield found

    def _sample(self, request: Request) -> Sample:
        id, index = request.question_id, request.index
        ending = self.endings[id][index] if id in self.endings else Ending()
        return Sample(request.prompt_id, id, index, self.answers[id][index], *ending)


def resolve(path: str) -> Path:
    """`path` with ~ and environment variables replaced.

    Raises:
        ConfigError: if a variable is unset or nothing is there.
    """
    try:
        found = Path(replaced(path))
    except ValueError as error:
        raise ConfigError(f"teacher.path: {error}") from error
    if not found.exists():
        raise ConfigError(f"teacher.path: value {path!r}, but there is nothing at {found}")
    return found


def _lines(path: Path) -> Iterator[tuple[str, list[str], list[Ending]]]:
    with open(path, "rb") as file:  # as bytes, so that what is no text is refused with its line too
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
                known = row.get("finish_reasons") is not None or row.get("tokens") is not None
                endings = list(map(Ending, reasons, tokens)) if known else []
            except KeyError as error:
                raise DataError(f"{path}, line {number}: the field {error} is missing") from error
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}: {error}; expected JSON with id and samples"
                ) from error
            yield str(key), samples, endings


def _parallel(row: dict[str, Any], field: str, length: int) -> list[Any]:
    """What a line says of each of its samples; None where it says nothing."""
    found = row.get(field)
    if found is None:
        return [None] * length
    if not isinstance(found, list) or len(found) != length:
        raise TypeError(f"{field} is no list of {length}, one for each of the samples")
    return found


def _reason(found: Any) -> str:
    if not isinstance(found, str | None):
        raise TypeError(f"finish_reasons has {found!r}, neither a text nor null")
    # Of one that was refused or given up nobody knows that it is whole; without a known reason it is.
    return "stop" if finish.ending(found) in (None, "stop") else "length"


def _count(found: Any) -> int:
    if isinstance(found, bool) or not isinstance(found, int | None) or (found or 0) < 0:
        raise TypeError(f"tokens has {found!r}, neither a number of tokens nor null")
    return found or 0


def _lists(path: Path) -> Iterator[tuple[str, list[str], list[Ending]]]:
    chunks: dict[tuple[str, str], dict[int, list[str]]] = {}
    for name, read in archives.files(path, lambda name: _CHUNK.search(name) is not None).items():
        match = _CHUNK.search(name)
        if match is None:  # not among those asked for
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
