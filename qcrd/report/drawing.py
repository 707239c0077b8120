"""How all figures look, and how they become files: the same table gives the same bytes."""

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
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # Okabe and Ito's, for all eyes
MARKERS = "osv^<>"
PAPER = "#D55E00"
_INK = "#262626"
_STYLE = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that no machine's fonts matter
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
    "svg.fonttype": "none",  # text stays text: small, found by searching, read aloud
    "svg.hashsalt": "qcrd",  # ids would be random
}


@contextmanager
def style() -> Iterator[None]:
    """Within it figures are made and saved as all of them look."""
    with matplotlib.rc_context(_STYLE):
        yield


def panels(
    count: int, height: float, ratios: tuple[float, ...], across: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure with one or two panels, above each other or side by side, sharing the other axis."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    if across:
        made = figure.subplots(ncols=count, width_ratios=ratios, sharey=True, squeeze=False)
    else:
        made = figure.subplots(nrows=count, height_ratios=ratios, sharex=True, squeeze=False)
    axes: list[Axes] = made.ravel().tolist()
    for axis in axes:
        axis.grid(axis="x" if across else "y", color="#8a8a8a", alpha=0.3, linewidth=0.5)
    return figure, axes


def headed(figure: Figure, title: str, subtitle: str) -> None:
    """Title and, smaller, what the reader must know: preset and intervals. A legend goes below."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    figure.axes[0].set_title(subtitle, loc="left", fontsize=6.5, pad=6)
    entries: dict[str, Artist] = {}
    for axis in figure.axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if len(entries) > 1:
        figure.legend(entries.values(), entries, loc="outside lower center", ncols=2)


def saved(figure: Figure, format: Format) -> bytes:
    """The file's content, without date or version."""
    file = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
    with style():
        figure.savefig(file, format=format, metadata=metadata)
    return file.getvalue()
