"""The teacher's raw answers to one question, from the sample store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qcrd.cell.answers import question_requests
from qcrd.cell.data import without_gold
from qcrd.cell.finished import FinishedCell
from qcrd.errors import DataError
from qcrd.provenance.entry import sampler_of
from qcrd.samples import shards
from qcrd.samples.requests import Request
from qcrd.samples.store import SampleStore
from qcrd.storage.home import Home
from qcrd.teacher.engines import ENGINES
from qcrd.types import Parsed, Question, Sample


@dataclass(frozen=True, slots=True)
class Draw:
    """One of a teacher's answers to a question."""

    index: int  # 0-based number of the draw
    seed: int  # its seed, if the teacher uses seeds
    text: str
    finish_reason: str  # "stop" or "length"
    tokens: int  # 0 if unknown
    parsed: Parsed
    shard: Path | None  # file that contains it


@dataclass(frozen=True, slots=True)
class Answers:
    """The teacher's prompt and answers for a question."""

    prompt_id: str
    prompt: str
    draws: list[Draw]  # may be fewer than the cell's m if the answers are recorded ones


def answers(ended: FinishedCell, home: Home, question: Question) -> Answers:
    """The answers to one question that the cell used.

    Raises:
        DataError: if they are not kept, or the prompts have changed since.
    """
    cell, sampler = ended.cell, sampler_of(ended, home)
    if sampler is None:
        raise DataError(f"cell {ended.id} uses no answers of a teacher")
    if sampler.identity is None:
        raise DataError(
            f"the teacher's answers are not kept: there is no sampler {sampler.id} in {home.samples}"
        )
    if cell.data.prompts_fingerprint != ended.record.identity["rationales"]["teacher"]["prompts"]:
        raise DataError(
            "the prompts have changed since this cell was trained, so its answers cannot be identified; show "
            f"them with `qcrd samples show {sampler.id} {question.id}`"
        )
    prompted = without_gold(question) if cell.from_teacher else question
    requests = question_requests(cell, [question], sampler.samples)
    teacher = cell.settings.teacher
    store = SampleStore(home.samples, sampler.identity, teacher.limit, bucket=home.bucket)
    stored = store.load(requests)
    shard_of = _shards(sampler.folder, requests[0].prompt_id)
    draws = []
    for request in requests:
        sample = stored.get(request.key)
        if sample is not None:
            parsed = cell.task.parse(sample.text, prompted, sample.finish_reason)
            draws.append(_draw(request, sample, parsed, shard_of.get((request.index, sample.text))))
    if not draws or (len(draws) < len(requests) and ENGINES[teacher.engine].draws):
        raise DataError(
            f"{len(requests) - len(draws)} of the {len(requests)} answers to {question.id} are no longer in "
            f"{sampler.folder}; run `qcrd sample` with the cell's grid to sample them again"
        )
    return Answers(requests[0].prompt_id, requests[0].prompt.text, draws)


def _draw(request: Request, sample: Sample, parsed: Parsed, shard: Path | None) -> Draw:
    return Draw(request.index, request.seed, sample.text, sample.finish_reason, sample.tokens, parsed, shard)


def _shards(folder: Path, prompt_id: str) -> dict[tuple[int, str], Path]:
    """Files of the answers to a prompt, by number of the draw and text."""
    shard_of = {}
    for shard in shards.shards(folder):
        try:
            table = shards.read(shard, ["prompt_id", "index", "text"])
        except (FileNotFoundError, shards.DamagedShard):
            continue
        prompts = table["prompt_id"].to_pylist()
        for row in (i for i, prompt in enumerate(prompts) if prompt == prompt_id):
            shard_of[table["index"][row].as_py(), table["text"][row].as_py()] = shard
    return shard_of
