"""Interrupts a driver whose own node is lost; Ray does not notify it, so it would wait forever."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import ray

from qcrd.errors import QcrdError

SIGNAL = signal.SIGUSR2  # Tune uses SIGUSR1
POLL_SECONDS = 2.0  # Ray itself takes about 15 seconds to declare a node lost


@contextmanager
def interrupt_if_node_lost() -> Iterator[None]:
    """Context that is interrupted once this node is no longer part of the cluster; for the main thread.

    Raises:
        QcrdError: if the node is lost; the message says what to do.
    """
    node_id = ray.get_runtime_context().get_node_id()
    lost, ended = threading.Event(), threading.Event()
    main = threading.main_thread().ident
    assert main is not None  # the main thread has started

    def poll() -> None:
        while not ended.wait(POLL_SECONDS):
            with suppress(Exception):  # the cluster may be shutting down; the next poll decides
                # Without a connection, ray.nodes() would start a new Ray.
                if ray.is_initialized() and any(
                    node["NodeID"] == node_id and not node["Alive"] for node in ray.nodes()
                ):
                    lost.set()
                    signal.pthread_kill(main, SIGNAL)
                    return

    previous_handler = signal.signal(SIGNAL, _interrupt)
    thread = threading.Thread(target=poll, name="qcrd-node", daemon=True)
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
        thread.join(POLL_SECONDS)
        signal.signal(SIGNAL, previous_handler or signal.SIG_DFL)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt  # Tune lets it through; Ray turns every other exception into one
