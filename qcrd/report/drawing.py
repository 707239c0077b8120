"""Common style of all figures, and saving them reproducibly: the same table gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Format = Literal["svg", "png"]
FORMATS: tuple[Format, ...] = ("svg", "png")

WIDTH = 3.4  # inches, a column of a two-column page
MARKERS = "osv^<>"
PAPER = "#D55E00"
_INK = "#262626"
_STYLE = {
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: independent of installed fonts
    "font.size": 8,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2,
    "savefig.dpi": 300,
    "svg.fonttype": "none",  # keep text as text: small, searchable, accessible
    "svg.hashsalt": "qcrd",  # otherwise ids are random
}


@contextmanager
def style() -> Iterator[None]:
    """Context manager in which figures are created and saved with the common style."""
    with matplotlib.rc_context(_STYLE):
        yield


def panels(
    count: int, height: float, ratios: tuple[float, ...], across: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure with one or two panels.

    Args:
        count: number of panels.
        height: of the figure, in inches.
        ratios: relative sizes of the panels.
        across: place panels side by side with a shared y axis, not above each other with a shared x axis.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    if across:
        subplots = figure.subplots(ncols=count, width_ratios=ratios, sharey=True, squeeze=False)
    else:
        subplots = figure.subplots(nrows=count, height_ratios=ratios, sharex=True, squeeze=False)
    axes: list[Axes] = subplots.ravel().tolist()
    for axis in axes:
        axis.grid(axis="x" if across else "y", color="#8a8a8a", alpha=0.3, linewidth=0.5)
    return figure, axes


def add_title(figure: Figure, title: str, subtitle: str) -> None:
    """Add a title, a smaller subtitle (preset, intervals), and below a legend of two or more entries."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    figure.axes[0].set_title(subtitle, loc="left", fontsize=6.5, pad=6)
    entries: dict[str, Artist] = {}
    for axis in figure.axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if len(entries) > 1:
        figure.legend(entries.values(), entries, loc="outside lower center", ncols=2)


def file_bytes(figure: Figure, format: Format) -> bytes:
    """Content of the figure's file, without date or version of the software."""
    file = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
    with style():
        figure.savefig(file, format=format, metadata=metadata)
    return file.getvalue()
