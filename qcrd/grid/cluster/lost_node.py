"""A driver whose own node is lost: Ray tells it nothing, and it would wait for its cells for ever."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import ray

from qcrd.errors import QcrdError

SIGNAL = signal.SIGUSR2  # Tune takes SIGUSR1 for itself
LOOK = 2.0  # seconds between two looks; Ray itself takes some fifteen to count a node as lost


@contextmanager
def watched() -> Iterator[None]:
    """Interrupt the main thread, which this is, once its node is no longer part of the cluster.

    Raises:
        QcrdError: then, with what to do.
    """
    own = ray.get_runtime_context().get_node_id()
    lost, ended = threading.Event(), threading.Event()
    main = threading.main_thread().ident
    assert main is not None  # it has been started

    def look() -> None:
        while not ended.wait(LOOK):
            with suppress(Exception):  # of a cluster that is going down: the next look tells
                # Asked without one, Ray would start another.
                if ray.is_initialized() and any(
                    node["NodeID"] == own and not node["Alive"] for node in ray.nodes()
                ):
                    lost.set()
                    signal.pthread_kill(main, SIGNAL)
                    return

    before = signal.signal(SIGNAL, _interrupt)
    thread = threading.Thread(target=look, name="qcrd-node", daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if not lost.is_set():
            raise
        raise QcrdError(
            "Ray ended on the node of this command (often because its memory was full: lower "
            "resources.concurrent_cells); finished cells are kept; run the same command to continue"
        ) from None
    finally:
        ended.set()
        thread.join(LOOK)
        signal.signal(SIGNAL, before or signal.SIG_DFL)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt  # which Tune lets through; Ray makes one of whatever else interrupts it
