"""What a cell's memory is said to be, and that it is given back; in processes that hold nothing else."""

import subprocess
import sys
import textwrap

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a peak is set back through Linux's /proc"),
]
BEGIN = """
import torch
from qcrd.training import memory
CPU, MEGABYTE = torch.device("cpu"), 2**20
"""


def alone(code):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(code)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_peak_is_of_what_came_since_it_was_set_back():
    alone(
        """
        memory.reset_peak(CPU)
        before = memory.peak_bytes(CPU)
        torch.ones(100 * MEGABYTE, dtype=torch.uint8)
        high = memory.peak_bytes(CPU)
        assert high > before + 80 * MEGABYTE, (before, high)
        memory.release()
        memory.reset_peak(CPU)
        assert memory.peak_bytes(CPU) < high - 80 * MEGABYTE
        """
    )


def test_what_was_freed_between_things_that_live_on_goes_back_to_the_system():
    # Small enough to come from the heap, every second one kept: the heap cannot shrink from its end.
    alone(
        """
        pieces = [bytearray(64 * 1024) for _ in range(3000)]
        kept = pieces[::2]
        memory.reset_peak(CPU)
        full = memory.peak_bytes(CPU)
        del pieces
        memory.release()
        memory.reset_peak(CPU)
        assert memory.peak_bytes(CPU) < full - 60 * MEGABYTE
        assert len(kept) == 1500
        """
    )
