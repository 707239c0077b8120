"""Peak throughput of GPUs, from NVIDIA's data sheets."""

from __future__ import annotations

import re

CARDS = {"A100": 312.0, "H100": 989.0, "L4": 121.0}
"""Peak bf16 TFLOP/s without sparsity (H100: SXM; L4: half of the value with sparsity)."""
_PEAKS = CARDS | {"H200": 989.0}
_SLOWER = {"PCIe", "NVL"}  # variants of H100 and H200 with other peaks


def peak_tflops(name: str) -> float | None:
    """Peak bf16 TFLOP/s of a GPU by the name that torch reports; None where it is not known."""
    words = re.split(r"[^A-Za-z0-9]+", name)
    if "A100" not in words and _SLOWER & {*words}:
        return None
    return next((_PEAKS[word] for word in words if word in _PEAKS), None)
