"""Figures of a table's sections: curves over a swept number or the training-set size, dot plots otherwise.

The paper's accuracies are in the same panel as ours if they are comparable. If they are for other data,
students or labels, they have a panel of their own, because then only the order can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from qcrd.report.colours import COLOURS
from qcrd.report.drawing import MARKERS, PAPER, add_title, panels, style
from qcrd.report.heatmap import crossed, heat_map
from qcrd.report.model import Table, TableLine

_AXES = {
    "contrastive.beta": "β, weight of the negatives",
    "contrastive.delta": "δ, margin (nats per token)",
    "rationales.m": "m, teacher samples per question",
    "selfplay.k": "k, self-play samples per question",
    "selfplay.tau": "τ, temperature of self-play",
    "selfplay.top_k": "top-k, likeliest tokens in self-play",
}
_ACCURACY = "test accuracy (%)"
_OURS = "ours"
_PART = "ours, seeds missing"
_PAPER = "paper"
MOST = 100  # settings of a section that are drawn; more are unreadable and take minutes


@dataclass(frozen=True, slots=True)
class SectionFigure:
    """Figure of one section of a table."""

    name: str  # file name without suffix, unique in the table
    group: str  # name of the section
    about: str  # alternative text
    figure: Figure


def draw(table: Table) -> Iterator[SectionFigure]:
    """Draw each section with a result and at most `MOST` settings; also a heat map of two crossed factors."""
    names: dict[str, int] = {}
    for group, lines in table.sections():
        if len(lines) > MOST or not any(line.test for line in lines):
            continue
        name = re.sub(r"[^a-z0-9]+", "-", (group or "settings").lower()).strip("-") or "section"
        names[name] = names.get(name, 0) + 1
        name += f"-{names[name]}" if names[name] > 1 else ""
        with style():
            if _over_sizes(lines):
                figure, about = _sizes(lines), "accuracy against the number of training questions"
            elif lines[0].setting.factor and all(_is_number(line.setting.label) for line in lines):
                figure, about = _curve(lines), f"accuracy against {_axis(lines[0])}"
            else:
                figure, about = _dots(lines), "accuracy of each setting"
            add_title(figure, f"{table.grid}: {group}" if group else table.grid, _subtitle(table, lines))
        yield SectionFigure(name, group, f"{table.grid} {group}: {about}, in percent", figure)
        if factors := crossed(lines):
            with style():
                figure = heat_map(lines, factors)
                add_title(figure, f"{table.grid}: {group}" if group else table.grid, _subtitle(table, lines))
            about = f"accuracy at each {factors[0]} and {factors[1]}"
            yield SectionFigure(f"{name}-map", group, f"{table.grid} {group}: {about}, in percent", figure)


def _curve(lines: Sequence[TableLine]) -> Figure:
    """Accuracy at each value of a swept number; drawn evenly spaced, since most sweeps are not linear."""
    figure, ours, papers = _stacked(lines)
    positions = range(len(lines))
    _measured(ours, list(zip(positions, lines, strict=True)), COLOURS[0], MARKERS[0])
    _published(papers, [(position, line) for position, line in zip(positions, lines, strict=True)])
    bottom = figure.axes[-1]
    bottom.set_xticks(positions, [line.setting.title("\n") for line in lines])
    bottom.set_xlim(-0.4, len(lines) - 0.6)
    bottom.set_xlabel(_axis(lines[0]))
    return figure


def _sizes(lines: Sequence[TableLine]) -> Figure:
    """Accuracy against the training-set size, one curve per method."""
    figure, ours, papers = _stacked(lines)
    methods = list(dict.fromkeys(line.row.method for line in lines))
    for method, colour, marker in zip(methods, COLOURS, MARKERS, strict=False):
        points = sorted((line.row.train, line) for line in lines if line.row.method == method)
        _measured(ours, points, colour, marker, method)
        _published(papers, points, colour, marker, f"{method}, paper")
    bottom = figure.axes[-1]
    sizes = sorted({line.row.train for line in lines})
    bottom.set_xscale("log")
    bottom.set_xticks(sizes, [f"{size:,}" for size in sizes])
    bottom.xaxis.set_minor_locator(NullLocator())
    bottom.set_xlabel("training questions")
    return figure


def _dots(lines: Sequence[TableLine]) -> Figure:
    """A dot with its interval for each setting, from top to bottom in the order of the table."""
    separate = _needs_paper_panel(lines)
    height = 1.1 + 0.24 * len(lines) + (0.15 if any(line.row.published is not None for line in lines) else 0)
    figure, axes = panels(2 if separate else 1, height, (2, 1) if separate else (1,), across=True)
    for position, line in enumerate(lines):
        if line.test:
            _point(axes[0], line, position, across=True)
        else:
            axes[0].annotate(
                "no result yet",
                (0.02, position),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=6.5,
            )
        if line.row.published is not None:
            axes[-1].plot(line.row.published, position, "D", mfc="none", color=PAPER, label=_PAPER, zorder=3)
    axes[0].set_yticks(range(len(lines)), [line.setting.title() for line in lines])
    axes[0].set_ylim(len(lines) - 0.5, -0.5)
    axes[0].set_xlabel(_ACCURACY)
    if separate:
        axes[-1].set_xlabel("the paper's (%)")
        axes[-1].margins(x=0.25)
    for axis, ticks in zip(axes, (4, 2) if separate else (6,), strict=True):
        axis.xaxis.set_major_locator(MaxNLocator(ticks))
    return figure


def _stacked(lines: Sequence[TableLine]) -> tuple[Figure, Axes, Axes]:
    """An empty figure, the axes for our points and the axes for the paper's, which may be the same."""
    separate = _needs_paper_panel(lines)
    figure, axes = panels(2 if separate else 1, 3.4 if separate else 2.5, (2, 1) if separate else (1,))
    axes[0].set_ylabel(_ACCURACY)
    if separate:
        axes[-1].set_ylabel("the paper's (%)")
    return figure, axes[0], axes[-1]


def _measured(
    axis: Axes, points: Sequence[tuple[float, TableLine]], colour: str, marker: str, name: str = _OURS
) -> None:
    """Our points; the line between two points is left out where a result is missing."""
    heights = [line.test.mean if line.test else float("nan") for _, line in points]
    axis.plot([position for position, _ in points], heights, color=colour, zorder=2)
    for position, line in points:
        if line.test:
            _point(axis, line, position, colour, marker, name)


def _point(
    axis: Axes,
    line: TableLine,
    position: float,
    colour: str = COLOURS[0],
    marker: str = MARKERS[0],
    name: str = _OURS,
    across: bool = False,
) -> None:
    """A mean with its interval; hollow if the mean lacks cells."""
    test = line.test
    assert test is not None  # lines without a result have no point
    errors = [[max(0.0, test.mean - test.low)], [max(0.0, test.high - test.mean)]]
    if not line.row.complete:
        name = _PART if name == _OURS else f"{name}, seeds missing"
    face = colour if line.row.complete else "white"
    x, y = (test.mean, position) if across else (position, test.mean)
    axis.errorbar(
        x,
        y,
        xerr=errors if across else None,
        yerr=None if across else errors,
        fmt=marker,
        color=colour,
        mfc=face,
        elinewidth=0.9,
        label=name,
        zorder=3,
    )


def _published(
    axis: Axes,
    points: Sequence[tuple[float, TableLine]],
    colour: str = PAPER,
    marker: str = "D",
    name: str = _PAPER,
) -> None:
    """The paper's accuracies, where it has any."""
    values = [(position, line.row.published) for position, line in points if line.row.published is not None]
    if values:
        axis.plot(*zip(*values, strict=True), f"{marker}:", mfc="none", color=colour, label=name, zorder=3)


def _needs_paper_panel(lines: Sequence[TableLine]) -> bool:
    """Whether the paper's accuracies need a panel of their own."""
    return any(line.row.published is not None and line.row.deviations for line in lines)


def _over_sizes(lines: Sequence[TableLine]) -> bool:
    """Whether the section varies the training-set size of one or more methods."""
    pairs = {(line.row.method, line.row.train) for line in lines}
    methods, sizes = ({pair[i] for pair in pairs} for i in (0, 1))
    if lines[0].setting.factor is not None or len(sizes) < 2:
        return False
    return len(pairs) == len(lines) and len(methods) <= 6


def _is_number(label: str) -> bool:
    """Whether a label is a number, or several: values that give the same cells share a label (`0, 0.7`)."""
    try:
        return bool([float(part) for part in label.split(", ")])
    except ValueError:
        return False


def _axis(line: TableLine) -> str:
    factor = line.setting.factor
    assert factor is not None  # only called for sweeps
    return _AXES.get(factor, factor.replace("_", " "))


def _subtitle(table: Table, lines: Sequence[TableLine]) -> str:
    counts = sorted({len(line.row.finished) for line in lines} - {0})
    seeds = "-".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    over = " or ".join(sorted({line.test.over for line in lines if line.test}, reverse=True))
    task = lines[0].setting.group if lines[0].setting.group in table.task.split(", ") else table.task
    seeds += " seed" if seeds == "1" else " seeds"
    return f"preset {table.preset}, {task}; {seeds}\nbars: 95% interval over {over}"
