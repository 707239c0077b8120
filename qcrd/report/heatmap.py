"""Accuracy over two factors of a product, as a heat map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from qcrd.report.drawing import WIDTH
from qcrd.report.model import TableLine

_DARK = 0.55  # share of the colour scale from which light text is read better


def crossed(lines: Sequence[TableLine]) -> tuple[str, str] | None:
    """The two factors whose combinations the lines are; None where other than two vary."""
    values: dict[str, set[str]] = {}
    for line in lines:
        for combination in line.setting.combinations:
            for name, value in combination.items():
                values.setdefault(name, set()).add(value)
    varied = [name for name, found in values.items() if len(found) > 1]
    return (varied[0], varied[1]) if len(varied) == 2 else None


def heat_map(lines: Sequence[TableLine], factors: tuple[str, str]) -> Figure:
    """Test accuracy at each pair of values, in the grid's order; empty where there is no result yet."""
    down_name, across_name = factors
    cells = [
        (values[down_name], values[across_name], line)
        for line in lines
        for values in line.setting.combinations
    ]
    down = list(dict.fromkeys(above for above, _, _ in cells))
    across = list(dict.fromkeys(beside for _, beside, _ in cells))
    means = np.full((len(down), len(across)), np.nan)
    for above, beside, line in cells:
        if line.test:
            means[down.index(above), across.index(beside)] = line.test.mean
    figure = Figure(figsize=(WIDTH, 1.2 + 0.32 * len(down)), layout="constrained")
    axis = figure.subplots()
    axis.pcolormesh(means, cmap="viridis_r")  # an image would be pixels in an SVG
    axis.invert_yaxis()
    low, high = np.nanmin(means), np.nanmax(means)
    for row, column in np.argwhere(~np.isnan(means)):
        mean = means[row, column]
        ink = "white" if high > low and (mean - low) / (high - low) > _DARK else "black"
        axis.text(column + 0.5, row + 0.5, f"{mean:.1f}", ha="center", va="center", color=ink)
    axis.set_xticks(np.arange(len(across)) + 0.5, across)
    axis.set_yticks(np.arange(len(down)) + 0.5, down)
    axis.set_xlabel(across_name)
    axis.set_ylabel(down_name)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    figure.supxlabel("in the cells: test accuracy (%)", fontsize=7)
    return figure
