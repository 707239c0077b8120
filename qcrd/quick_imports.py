"""Imports of large libraries in less time: a worker's start is mostly that."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Context for imports, without garbage collection: it would scan all new modules again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def quick_model_imports() -> Iterator[None]:
    """Context for the first import of transformers' models in a process; scikit-learn is left out of it.

    transformers imports scikit-learn, and with it pandas and scipy.stats, with its first model, for assisted
    generation, which is not used here. In this process it counts as not installed for transformers, unless it
    is imported already. Other libraries can import it at any time.
    """
    with quick_imports():
        from transformers.utils import is_sklearn_available

        if "sklearn" not in sys.modules:
            sys.modules["sklearn"] = None  # type: ignore[assignment]  # for importlib: no such module
            try:
                is_sklearn_available()  # transformers keeps the answer
            finally:
                del sys.modules["sklearn"]
        yield
