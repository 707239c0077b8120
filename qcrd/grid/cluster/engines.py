"""Teacher engines in Ray actors: fed by the driver, replaced if they die, ended before students start."""

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
"""Prints a line to the user."""

MAX_OPEN = 4096  # requests that an engine holds; more than any engine processes concurrently
REFILL_BELOW = 2048  # open requests below which an engine gets more
TAKE_SECONDS = 1.0  # between two deliveries of an engine's finished samples
REPORT_SECONDS = 60.0  # without a response from any engine until a message is printed
CLOSE_TIMEOUT = 20.0  # seconds for an engine to free its memory


def result_of(reference: Any) -> Any:
    """A worker's return value. A QcrdError that the worker raised is raised here as it is."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, QcrdError):
            raise error.cause from None
        raise


class _Engine:
    """An engine in its own process; if the engine crashes, only this actor crashes."""

    def start(self, load: Callable[[], Sampler]) -> None:
        """Load the model. Not done in the constructor, where Ray would wrap exceptions."""
        self.sampler = load()

    def feed(self, requests: Sequence[Request]) -> None:
        self.sampler.feed(requests)

    def take(self, seconds: float) -> list[Sample]:
        return self.sampler.take(seconds)

    def close(self) -> None:
        """Free memory, in particular of the GPU, before the process ends."""
        import gc
        import sys

        self.__dict__.pop("sampler", None)
        gc.collect()
        torch = sys.modules.get("torch")  # an engine that has not imported torch uses no GPU
        if torch and torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass(eq=False)
class _Worker:
    """The driver's view of an engine's actor."""

    actor: Any
    open: dict[tuple[str, int], Request] = field(default_factory=dict)  # sent and not answered yet
    called_at: float = math.inf  # time of the last call; inf until its process has started


class Engines:
    """A SampleFn over several engines, as a context manager that ends their actors.

    Engines are refilled before they run out of requests, so that they are never idle, and deliver finished
    samples every second. They start one at a time, because each measures the free memory while it starts;
    engines that have started sample meanwhile. An engine that dies or hangs is replaced, on another node if
    its own is lost, and only its unanswered requests are sent again.

    Args:
        load: creates an engine's sampler, in its actor.
        options: the actors' options: num_cpus, num_gpus.
        count: number of engines.
        restarts: maximum number of replacements in total.
        timeout: seconds without a response after which an engine counts as hanging. An engine has to start
            within this time once its process runs, and then responds every second or after each batch.
        say: prints a line to the user.
    """

    def __init__(
        self,
        load: Callable[[], Sampler],
        options: dict[str, Any],
        count: int,
        restarts: int,
        timeout: float,
        say: Say,
    ):
        self.load, self.options = load, options
        self.count, self.restarts, self.timeout, self.say = count, restarts, timeout, say
        self.workers: list[_Worker] = []  # those that have started
        self.busy: dict[Any, _Worker] = {}  # by the reference of their current call
        self.deaths = 0

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        """End the actors, and wait until they have freed their memory."""
        closing = [worker.actor.close.remote() for worker in self.workers]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=CLOSE_TIMEOUT)
        for worker in {*self.workers, *self.busy.values()}:
            ray.kill(worker.actor)

    def ready(self) -> None:
        """Start all engines and wait for them; otherwise they start with the first request."""
        while len(self.workers) < self.count:
            self._start()
            self._wait()

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """Sample `requests`; yields samples as the engines finish them.

        Raises:
            QcrdError: if more engines have died than may be replaced, or an engine refuses a prompt.
        """
        queue = deque(requests)
        samples: list[Sample] = []
        while queue or any(worker.open for worker in self.workers):
            for worker in self.workers:
                if worker not in self.busy.values():
                    self._give_work(worker, queue)
            if queue and len(self.workers) < self.count and not self._starting():
                self._start()
            if samples:  # yielded while the engines work
                yield samples
            samples, returned = self._wait()
            queue.extendleft(reversed(returned))
        if samples:
            yield samples

    def _wait(self) -> tuple[list[Sample], list[Request]]:
        """Wait for the end of one engine's call: it has started, was fed, delivers samples, or has died.

        Returns:
            Samples that it delivers, and requests to send again because it died.
        """
        reference = self._next_reference()
        worker = self.busy.pop(reference)
        if self._is_hanging(worker) and not ray.wait([reference], timeout=0)[0]:
            return [], self._replace(worker, f"no response for {self.timeout:g} s")
        try:
            samples = result_of(reference) or []
        except RayError as error:
            return [], self._replace(worker, _reason(error), error)
        except QcrdError:
            ray.kill(worker.actor)
            raise
        if worker.called_at == math.inf:  # its process has started
            self._call(worker, "start", self.load)
            return [], []
        for sample in samples:
            del worker.open[sample.prompt_id, sample.index]
        if worker not in self.workers:
            self.workers.append(worker)  # its engine has started
        return samples, []

    def _next_reference(self) -> Any:
        """Wait for a call that has returned or whose engine hangs; returns its reference."""
        while True:
            hanging = [reference for reference, worker in self.busy.items() if self._is_hanging(worker)]
            if hanging:
                return hanging[0]
            remaining = self.timeout - (
                time.monotonic() - min(worker.called_at for worker in self.busy.values())
            )
            if done := ray.wait(
                list(self.busy), num_returns=1, timeout=max(0.0, min(REPORT_SECONDS, remaining))
            )[0]:
                return done[0]
            if remaining > REPORT_SECONDS:
                self.say(f"teacher: still waiting for an engine {self._waiting_for()}")

    def _is_hanging(self, worker: _Worker) -> bool:
        return time.monotonic() - worker.called_at >= self.timeout

    def _waiting_for(self) -> str:
        if not self._starting():
            return "to answer"
        needs = (f"{amount:g} {name.removeprefix('num_')}" for name, amount in self.options.items())
        return f"to start (on one node: {', '.join(needs)})"

    def _starting(self) -> bool:
        return any(worker not in self.workers for worker in self.busy.values())

    def _start(self) -> None:
        # On separate nodes engines do not share memory bandwidth, and a lost node affects fewer of them.
        actor = ray.remote(_Engine).options(**self.options, scheduling_strategy="SPREAD").remote()
        self.busy[actor.__ray_ready__.remote()] = _Worker(actor)

    def _call(self, worker: _Worker, method: str, *arguments: Any) -> None:
        worker.called_at = time.monotonic()
        self.busy[getattr(worker.actor, method).remote(*arguments)] = worker

    def _give_work(self, worker: _Worker, queue: deque[Request]) -> None:
        """Send a worker more requests, up to its fair share of the remaining ones, else let it sample."""
        if queue and len(worker.open) < REFILL_BELOW:
            share = math.ceil((len(queue) + len(worker.open)) / self.count)
            wanted = min(MAX_OPEN, share) - len(worker.open)
            batch = [queue.popleft() for _ in range(min(wanted, len(queue)))]
            if batch:
                worker.open |= {r.key: r for r in batch}
                self._call(worker, "feed", batch)
                return
        if worker.open:
            self._call(worker, "take", TAKE_SECONDS)

    def _replace(self, worker: _Worker, reason: str, error: RayError | None = None) -> list[Request]:
        """End the process of a dead or hanging engine, so that another can take its place.

        Returns:
            Its unanswered requests.

        Raises:
            QcrdError: if more engines have died than may be replaced.
        """
        if worker in self.workers:
            self.workers.remove(worker)
        ray.kill(worker.actor)  # an engine that raised may be unusable, so its process ends too
        self.deaths += 1
        if self.deaths > self.restarts:
            raise QcrdError(
                f"the teacher's engine died (times: {self.deaths}), the last time: {reason}\n"
                "Answers so far are stored; run the same command to continue. If memory is short, "
                "lower resources.teacher_memory or teacher.max_len, or set teacher.quantization; raise "
                "resources.teacher_restarts to allow more attempts, resources.teacher_timeout to wait longer"
            ) from error
        self.say(
            f"teacher: an engine died ({reason}); replacing it, {self.deaths} of at most {self.restarts}"
        )
        return list(worker.open.values())


def _reason(error: RayError) -> str:
    if isinstance(error, OutOfMemoryError):
        return "Ray ended its process because the memory of its node was full"
    if isinstance(error, RayActorError):
        return "its process ended"
    return str(error).strip().splitlines()[-1]
