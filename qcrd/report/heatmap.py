"""Heat map of accuracy over two factors of a product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from qcrd.report.drawing import WIDTH
from qcrd.report.model import TableLine

_DARK = 0.55  # share of the colour scale above which text is white


def crossed(lines: Sequence[TableLine]) -> tuple[str, str] | None:
    """Names of the two factors that vary between the lines; None if not exactly two vary."""
    values: dict[str, set[str]] = {}
    for line in lines:
        for combination in line.setting.combinations:
            for name, value in combination.items():
                values.setdefault(name, set()).add(value)
    varied = [name for name, distinct in values.items() if len(distinct) > 1]
    return (varied[0], varied[1]) if len(varied) == 2 else None


def heat_map(lines: Sequence[TableLine], factors: tuple[str, str]) -> Figure:
    """Test accuracy at each pair of values, in the grid's order; blank where there is no result yet."""
    down_name, across_name = factors
    cells = [
        (values[down_name], values[across_name], line)
        for line in lines
        for values in line.setting.combinations
    ]
    down = list(dict.fromkeys(row for row, _, _ in cells))
    across = list(dict.fromkeys(column for _, column, _ in cells))
    means = np.full((len(down), len(across)), np.nan)
    for row, column, line in cells:
        if line.test:
            means[down.index(row), across.index(column)] = line.test.mean
    figure = Figure(figsize=(WIDTH, 1.2 + 0.32 * len(down)), layout="constrained")
    axis = figure.subplots()
    axis.pcolormesh(means, cmap="viridis_r")  # vector graphics; imshow would embed pixels
    axis.invert_yaxis()
    low, high = np.nanmin(means), np.nanmax(means)
    for y, x in np.argwhere(~np.isnan(means)):
        mean = means[y, x]
        ink = "white" if high > low and (mean - low) / (high - low) > _DARK else "black"
        axis.text(x + 0.5, y + 0.5, f"{mean:.1f}", ha="center", va="center", color=ink)
    axis.set_xticks(np.arange(len(across)) + 0.5, across)
    axis.set_yticks(np.arange(len(down)) + 0.5, down)
    axis.set_xlabel(across_name)
    axis.set_ylabel(down_name)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    figure.supxlabel("in the cells: test accuracy (%)", fontsize=7)
    return figure
