"""Benchmark of sampling: from requests to stored samples, compared with the engine's own batch call."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import ray

from qcrd.cell.answers import sample_requests
from qcrd.cell.resolved import ResolvedCell
from qcrd.config import Resources
from qcrd.grid.cluster.connection import cluster
from qcrd.grid.cluster.engines import Engines, Say
from qcrd.grid.cluster.shares import Shares
from qcrd.grid.run.teachers import sampler
from qcrd.samples.draw import draw
from qcrd.samples.requests import Request
from qcrd.samples.store import SampleStore
from qcrd.storage.home import Home


@dataclass(frozen=True, slots=True)
class SamplingRates:
    """Generated tokens per second of each variant, one value per round, without the engines' start."""

    requests: int
    bare: list[float]  # one call of vllm.LLM.generate
    ours: list[float]  # the same engine, fed by the driver; samples are checked and stored
    two: list[float]  # two engines; empty if they do not fit the cluster

    @property
    def ratio(self) -> float:
        """Tokens per second relative to the engine's own call, median of the rounds."""
        return median(a / b for a, b in zip(self.ours, self.bare, strict=True))

    def text(self) -> str:
        """Medians and ratios as text."""
        lines = [f"{self.requests} requests, {len(self.bare)} rounds, medians of tokens per second"]
        for name, rates in (
            ("vllm.LLM.generate", self.bare),
            ("qcrd", self.ours),
            ("qcrd, two engines", self.two),
        ):
            if rates:
                share = median(a / b for a, b in zip(rates, self.bare, strict=True))
                lines.append(
                    f"  {name:<18} {median(rates):9.0f}   {share:.2f} of bare (median of the rounds)"
                )
        return "\n".join(lines)


def bench_sampling(
    cell: ResolvedCell, home: Home, m: int, questions: int, rounds: int, say: Say
) -> SamplingRates:
    """Run the benchmark, alternating between the engine's own call and the store.

    Each variant first samples all requests once, so that prompts are cached for all variants.

    Args:
        cell: a cell with the teacher (engine vllm) and the task.
        home: home for an embedded teacher; samples go to a temporary folder.
        m: samples per question.
        questions: number of training questions.
        rounds: number of measurements per variant.
        say: prints a line to the user.
    """
    requests = sample_requests(cell, "train", m)[: questions * m]
    teacher, stop = cell.settings.teacher, cell.task.stop
    bare, ours, two = [], [], []
    with cluster() as ray_cluster, ExitStack() as stack:

        def started(count: int) -> Engines:
            resources = Resources(teacher_actors=count)
            shares = Shares.of(resources, ray_cluster.nodes)
            engine_context = sampler(teacher, stop, requests, resources, shares, home, say)
            engines = stack.enter_context(engine_context)
            assert isinstance(engines, Engines)  # vLLM engines run in actors
            engines.ready()
            _through_the_store(engines, requests, cell)
            return engines

        engines = started(1)
        for i in range(rounds):
            engine = engines.workers[0].actor
            bare.append(ray.get(engine.__ray_call__.remote(_bare, requests)))
            ours.append(_through_the_store(engines, requests, cell))
            say(f"round {i + 1}: bare {bare[-1]:.0f}, qcrd {ours[-1]:.0f} tokens/s")
        stack.pop_all().close()
        if ray_cluster.gpus == 0 or ray_cluster.gpus >= 2:
            two_engines = started(2)
            for i in range(rounds):
                two.append(_through_the_store(two_engines, requests, cell))
                say(f"round {i + 1}: two engines {two[-1]:.0f} tokens/s")
    return SamplingRates(len(requests), bare, ours, two)


def _bare(engine: Any, requests: Sequence[Request]) -> float:
    """Tokens per second of one call of `vllm.LLM.generate`, in the engine's process."""
    sampler = engine.sampler
    parameters = [sampler.parameters(r.seed) for r in requests]
    begun = time.perf_counter()
    if sampler.chat:
        outputs = sampler.engine.chat([r.prompt.messages for r in requests], parameters, use_tqdm=False)
    else:
        outputs = sampler.engine.generate([r.prompt.text for r in requests], parameters, use_tqdm=False)
    seconds = time.perf_counter() - begun
    return sum(len(output.outputs[0].token_ids) for output in outputs) / seconds


def _through_the_store(engines: Engines, requests: Sequence[Request], cell: ResolvedCell) -> float:
    with tempfile.TemporaryDirectory() as folder:
        store = SampleStore(Path(folder), cell.sampler, cell.settings.teacher.limit)
        begun = time.perf_counter()
        draw(store, requests, engines, lambda *_: None)
        seconds = time.perf_counter() - begun
        return sum(sample.tokens for sample in store.load().values()) / seconds
