"""Measures the grid: what a cell costs beyond its work, what a second worker brings, what MLflow takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from qcrd.cell.run import run_cell
from qcrd.grid.bench.cells import cells, one_after_the_other, skip, through_ray
from qcrd.grid.cluster.engines import Say
from qcrd.grid.run.driver import cluster
from qcrd.tracking.server import served

PEER_CELLS = 6  # of the peer's way, which takes seconds each
BUSY_CELLS = 4  # that compute; an even number, so that two workers end together
BUSY_STEPS = 200


@dataclass(frozen=True, slots=True)
class GridFigures:
    """A figure for each round, if not said otherwise."""

    cells: int  # that train nothing
    bare: list[float]  # seconds of one of them in one process
    overhead: list[float]  # seconds that each costs beyond that: start of Ray's workers and MLflow included
    each: list[float]  # seconds from one cell's end to the next one's, once the first has ended
    peer: list[float]  # the same with a process for each cell, as Tune does it by itself, without MLflow
    workers: list[float]  # cells per second of two workers over those of one, cells that compute
    mlflow: list[float]  # share of two workers' time that feeding MLflow takes, driver and server together

    @property
    def ratio(self) -> float:
        """Our rate of cells that train nothing over the peer's, median of the rounds.

        Ours has its start-up and MLflow in it, the peer's is from cell to cell.
        """
        ours = [bare + over for bare, over in zip(self.bare, self.overhead, strict=True)]
        return median(theirs / each for each, theirs in zip(ours, self.peer, strict=True))

    def summary(self) -> dict[str, float | int | None]:
        """For programs: the medians by name."""
        return {
            "ratio": self.ratio,
            "cells": self.cells,
            "bare_seconds": median(self.bare),
            "overhead_seconds": median(self.overhead),
            "seconds_between_cells": median(self.each),
            "peer_seconds_between_cells": median(self.peer),
            "two_workers_over_one": median(self.workers) if self.workers else None,
            "mlflow_share": median(self.mlflow) if self.mlflow else None,
        }

    def text(self) -> str:
        """For people: the medians."""
        lines = [
            f"{self.cells} cells that train nothing, {len(self.bare)} rounds, medians",
            f"  in one process              {median(self.bare):7.3f} s a cell",
            f"  through the grid, over that {median(self.overhead):7.3f} s a cell, start-up and MLflow in it",
            f"  from cell to cell           {median(self.each):7.3f} s",
            f"  without reused workers      {median(self.peer):7.3f} s; our rate, start-up and MLflow in it, "
            f"is {self.ratio:.1f} times that",
        ]
        if self.workers:
            lines += [
                f"two workers                   {median(self.workers):7.2f} times one, cells that compute",
                f"MLflow                        {100 * median(self.mlflow):7.2f} % of their time",
            ]
        return "\n".join(lines)


def bench_grid(count: int, rounds: int, say: Say) -> GridFigures:
    """Measure by turns in one run.

    Our way is the grid's own: Tune with reused workers, each cell's folder, lock, journal and record, and a
    driver that feeds a real MLflow server. The peer is a hand-made Tune script: the same cells with a process
    for each, as Tune does where nobody says `reuse_actors`, and without MLflow.

    Args:
        count: cells that train nothing.
        rounds: how often each way is timed.
        say: what a person is told.
    """
    nothing, busy = cells(count), cells(BUSY_CELLS, BUSY_STEPS)
    figures = GridFigures(count, [], [], [], [], [], [])
    with cluster() as have, TemporaryDirectory() as folder, served(Path(folder)) as mlflow:
        for number in range(1, rounds + 1):
            bare = one_after_the_other(nothing, skip) / count
            ours, _ = through_ray(nothing, None, skip, mlflow)
            theirs, _ = through_ray(nothing[:PEER_CELLS], None, skip, None, reuse=False)
            figures.bare.append(bare)
            figures.overhead.append((ours.seconds + ours.drained) / count - bare)
            figures.each.append(_between(ours.marks))
            figures.peer.append(_between(theirs.marks))
            say(
                f"round {number}: {figures.overhead[-1]:.3f} s a cell ({ours.seconds:.1f} s, the first after "
                f"{ours.marks[0]:.1f} s, MLflow {ours.drained:.1f} s longer), {figures.each[-1]:.3f} s from "
                f"cell to cell, {figures.peer[-1]:.3f} s without reused workers"
            )
            if have.cpus < 2:
                continue
            _, one = through_ray(busy, 1, run_cell, mlflow)
            both, two = through_ray(busy, 2, run_cell, mlflow)
            figures.workers.append(two / one)
            figures.mlflow.append(both.feeding / (2 * both.seconds))
            say(
                f"round {number}: one worker {one:.3f}, two {two:.3f} cells/s; "
                f"MLflow {both.feeding:.2f} s of CPU in {both.seconds:.1f} s"
            )
    return figures


def _between(marks: list[float]) -> float:
    return (marks[-1] - marks[0]) / (len(marks) - 1)
