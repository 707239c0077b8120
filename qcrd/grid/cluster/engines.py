"""Teachers' engines in Ray actors: fed by the driver, replaced when they die, gone before students start."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from qcrd.errors import QcrdError
from qcrd.samples.requests import Request
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
        import sys

        self.__dict__.pop("sampler", None)
        gc.collect()
        torch = sys.modules.get("torch")  # an engine without it has nothing on a GPU
        if torch and torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(eq=False)
class _Worker:
    actor: Any
    open: dict[tuple[str, int], Request] = field(default_factory=dict)  # handed out, not answered yet
    since: float = math.inf  # when it was last called; never before its process is there


class Engines:
    """A SampleFn over several engines; use it as a context, its actors end with it.

    An engine gets more to do before it has finished what it has, so that it is never idle, and hands over
    what is finished every second. They start one after the other, because each measures free memory while
    it starts; the first samples meanwhile. One that dies or hangs is replaced, on another node where its own
    is gone, and only what it had not handed over is asked again.

    Args:
        load: makes an engine's sampler, in its actor.
        options: of its actor: num_cpus, num_gpus.
        count: how many.
        restarts: how many may be replaced, all in all.
        limit: seconds without a sign of life after which an engine hangs. It starts within these once it has
            its place, and then answers every second, or after each batch.
        say: what a person is told.
    """

    def __init__(
        self,
        load: Callable[[], Sampler],
        options: dict[str, Any],
        count: int,
        restarts: int,
        limit: float,
        say: Say,
    ):
        self.load, self.options = load, options
        self.count, self.restarts, self.limit, self.say = count, restarts, limit, say
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
        queue = deque(requests)
        samples: list[Sample] = []
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
        """Wait until an engine is up, has been fed, hands over, or is given up.

        Returns:
            What it hands over, and what is to be asked again because it died.
        """
        reference = self._heard()
        worker = self.busy.pop(reference)
        if self._hangs(worker) and not ray.wait([reference], timeout=0)[0]:
            return [], self._bury(worker, f"no sign of life for {self.limit:g} s")
        try:
            samples = answer(reference) or []
        except RayError as error:
            return [], self._bury(worker, _reason(error), error)
        except QcrdError:
            ray.kill(worker.actor)
            raise
        if worker.since == math.inf:  # it has its place
            self._call(worker, "start", self.load)
            return [], []
        for sample in samples:
            del worker.open[sample.prompt_id, sample.index]
        if worker not in self.workers:
            self.workers.append(worker)  # it is up
        return samples, []

    def _heard(self) -> Any:
        """Wait for the reference of a call that has returned, or should have long ago."""
        while True:
            hanging = [reference for reference, worker in self.busy.items() if self._hangs(worker)]
            if hanging:
                return hanging[0]
            left = self.limit - (time.monotonic() - min(worker.since for worker in self.busy.values()))
            if done := ray.wait(list(self.busy), num_returns=1, timeout=max(0.0, min(PATIENCE, left)))[0]:
                return done[0]
            if left > PATIENCE:
                self.say(f"teacher: still waiting for an engine {self._awaited()}")

    def _hangs(self, worker: _Worker) -> bool:
        return time.monotonic() - worker.since >= self.limit

    def _awaited(self) -> str:
        if not self._starting():
            return "to answer"
        needs = (f"{amount:g} {name.removeprefix('num_')}" for name, amount in self.options.items())
        return f"to start (on one node: {', '.join(needs)})"

    def _starting(self) -> bool:
        return any(worker not in self.workers for worker in self.busy.values())

    def _start(self) -> None:
        # Side by side they need not share a node's memory bandwidth, and one lost node takes fewer of them.
        actor = ray.remote(_Engine).options(**self.options, scheduling_strategy="SPREAD").remote()
        self.busy[actor.__ray_ready__.remote()] = _Worker(actor)

    def _call(self, worker: _Worker, method: str, *arguments: Any) -> None:
        worker.since = time.monotonic()
        self.busy[getattr(worker.actor, method).remote(*arguments)] = worker

    def _work(self, worker: _Worker, queue: deque[Request]) -> None:
        """Fill up what the worker has to do, to its fair share of what is left, and let it work."""
        if queue and len(worker.open) < LEAST:
            share = math.ceil((len(queue) + len(worker.open)) / self.count)
            wanted = min(MOST, share) - len(worker.open)
            more = [queue.popleft() for _ in range(min(wanted, len(queue)))]
            if more:
                worker.open |= {r.key: r for r in more}
                self._call(worker, "feed", more)
                return
        if worker.open:
            self._call(worker, "take", SECONDS)

    def _bury(self, worker: _Worker, reason: str, error: RayError | None = None) -> list[Request]:
        """Count a dead or hanging engine and end its process; its place is free for another.

        Returns:
            What it had not answered.

        Raises:
            QcrdError: where too many have died.
        """
        if worker in self.workers:
            self.workers.remove(worker)
        ray.kill(worker.actor)  # an engine that raised may be broken for good, so its process goes too
        self.died += 1
        if self.died > self.restarts:
            raise QcrdError(
                f"the teacher's engine died (times: {self.died}), the last time of: {reason}\n"
                "Its answers so far are stored; run the same command to continue. If it lacks "
                "memory, lower resources.teacher_memory or teacher.max_len, or set teacher.quantization; "
                "resources.teacher_restarts allows more attempts, resources.teacher_timeout more patience"
            ) from error
        self.say(f"teacher: an engine died ({reason}); replacing it, {self.died} of at most {self.restarts}")
        return list(worker.open.values())


def _reason(error: RayError) -> str:
    if isinstance(error, OutOfMemoryError):
        return "Ray ended its process because the memory of its node was full"
    if isinstance(error, RayActorError):
        return "its process ended"
    return str(error).strip().splitlines()[-1]
