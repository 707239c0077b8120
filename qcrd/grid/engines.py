"""Teachers' engines in Ray actors: fed by the driver, replaced when they die, gone before students start."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from qcrd.errors import QcrdError
from qcrd.teacher.base import Request
from qcrd.teacher.engine import Sampler
from qcrd.types import Sample

Say = Callable[[str], None]

MOST = 4096  # requests that an engine holds at once: more than any works on side by side
LEAST = 2048  # below which it is given more
SECONDS = 1.0  # that an engine works before it hands over what is finished
PATIENCE = 60.0  # seconds without a word from any engine after which that is said
FAREWELL = 20.0  # seconds that an engine gets to free its memory


def answer(reference: Any) -> Any:
    """What a worker returned; what it raised, if that is for the user, as it was raised there."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, QcrdError):
            raise error.cause from None
        raise


class _Engine:
    """An engine in a process of its own; a crash of the engine is a crash of this actor."""

    def start(self, load: Callable[[], Sampler]) -> None:
        """Load the model; not when the actor is made, so that what is wrong is raised as it is."""
        self.sampler = load()

    def feed(self, requests: Sequence[Request]) -> None:
        self.sampler.feed(requests)

    def take(self, seconds: float) -> list[Sample]:
        return self.sampler.take(seconds)

    def close(self) -> None:
        """Free the memory, of the GPU above all, before the process has ended."""
        import gc

        import torch

        self.__dict__.pop("sampler", None)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(eq=False)
class _Worker:
    actor: Any
    open: dict[tuple[str, int], Request] = field(default_factory=dict)  # handed out, not answered yet


class Engines:
    """A SampleFn over several engines; use it as a context, its actors end with it.

    An engine gets more to do before it has finished what it has, so that it is never idle, and hands over
    what is finished every second. They start one after the other, because each measures free memory while
    it starts; the first samples meanwhile. One that dies is replaced, and only what it had not handed over
    is asked again.

    Args:
        load: makes an engine's sampler, in its actor.
        options: of its actor: num_cpus, num_gpus.
        count: how many.
        restarts: how many may be replaced, all in all.
        say: what a person is told.
    """

    def __init__(
        self,
        load: Callable[[], Sampler],
        options: dict[str, Any],
        count: int,
        restarts: int,
        say: Say,
    ):
        self.load, self.options = load, options
        self.count, self.restarts, self.say = count, restarts, say
        self.workers: list[_Worker] = []  # those that are up
        self.busy: dict[Any, _Worker] = {}  # by the reference of what they are doing
        self.died = 0

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        """End the actors, and wait until they have let their memory go."""
        farewells = [worker.actor.close.remote() for worker in self.workers]
        if farewells:
            ray.wait(farewells, num_returns=len(farewells), timeout=FAREWELL)
        for worker in {*self.workers, *self.busy.values()}:
            ray.kill(worker.actor)

    def ready(self) -> None:
        """Start all of them now and wait until they are up; without it they start with the first request."""
        while len(self.workers) < self.count:
            self._start()
            self._next()

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """The samples of `requests`, as the engines finish them.

        Raises:
            QcrdError: once more engines have died than may be replaced, or one refuses a prompt.
        """
        queue, samples = deque(requests), []
        while queue or any(worker.open for worker in self.workers):
            for worker in self.workers:
                if worker not in self.busy.values():
                    self._work(worker, queue)
            if queue and len(self.workers) < self.count and not self._starting():
                self._start()
            if samples:  # handed on while the engines work
                yield samples
            samples, returned = self._next()
            queue.extendleft(reversed(returned))
        if samples:
            yield samples

    def _next(self) -> tuple[list[Sample], list[Request]]:
        """Wait until an engine is up, has been fed or hands over.

        Returns:
            What it hands over, and what is to be asked again because it died.
        """
        while not (done := ray.wait(list(self.busy), num_returns=1, timeout=PATIENCE)[0]):
            needs = ", ".join(
                f"{amount:g} {name.removeprefix('num_')}" for name, amount in self.options.items()
            )
            what = f"to start (on one node: {needs})" if self._starting() else "to answer"
            self.say(f"teacher: still waiting for an engine {what}")
        worker = self.busy.pop(done[0])
        try:
            samples = answer(done[0]) or []
        except RayError as error:
            self._bury(worker, error)
            return [], list(worker.open.values())
        except QcrdError:
            ray.kill(worker.actor)
            raise
        for sample in samples:
            del worker.open[sample.prompt_id, sample.index]
        if worker not in self.workers:
            self.workers.append(worker)  # it is up
        return samples, []

    def _starting(self) -> bool:
        return any(worker not in self.workers for worker in self.busy.values())

    def _start(self) -> None:
        actor = ray.remote(_Engine).options(**self.options).remote()
        self.busy[actor.start.remote(self.load)] = _Worker(actor)

    def _work(self, worker: _Worker, queue: deque[Request]) -> None:
        """Fill up what the worker has to do, to its fair share of what is left, and let it work."""
        if queue and len(worker.open) < LEAST:
            share = math.ceil((len(queue) + len(worker.open)) / self.count)
            wanted = min(MOST, share) - len(worker.open)
            more = [queue.popleft() for _ in range(min(wanted, len(queue)))]
            if more:
                worker.open |= {r.key: r for r in more}
                self.busy[worker.actor.feed.remote(more)] = worker
                return
        if worker.open:
            self.busy[worker.actor.take.remote(SECONDS)] = worker

    def _bury(self, worker: _Worker, error: RayError) -> None:
        """Count a dead engine; its place is free for another.

        Raises:
            QcrdError: where too many have died.
        """
        if worker in self.workers:
            self.workers.remove(worker)
        ray.kill(worker.actor)  # an engine that raised may be broken for good, so its process goes too
        self.died += 1
        reason = _reason(error)
        if self.died > self.restarts:
            raise QcrdError(
                f"the teacher's engine died (times: {self.died}), the last time of: {reason}\n"
                "What it had answered is stored, and the same command goes on from there. If it lacks "
                "memory, lower resources.teacher_memory or teacher.max_len, or set teacher.quantization; "
                "resources.teacher_restarts allows more attempts"
            ) from error
        self.say(f"teacher: an engine died ({reason}); replacing it, {self.died} of at most {self.restarts}")


def _reason(error: RayError) -> str:
    if isinstance(error, RayActorError):
        return "its process ended"
    return str(error).strip().splitlines()[-1]
