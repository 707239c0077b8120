"""Benchmark of the grid: overhead per cell, speed-up with a second worker, and cost of MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from qcrd.cell.run import run_cell
from qcrd.grid.bench.cells import cells, run_empty_cell, run_sequentially, run_with_ray
from qcrd.grid.cluster.connection import cluster
from qcrd.grid.cluster.engines import Say
from qcrd.tracking.server import served

PEER_CELLS = 6  # for the peer, which takes seconds per cell
BUSY_CELLS = 4  # cells that compute; an even number, so that two workers finish together
BUSY_STEPS = 200


@dataclass(frozen=True, slots=True)
class GridFigures:
    """Results of the benchmark; lists have one value per round."""

    cells: int  # number of empty cells, which train nothing
    bare: list[float]  # seconds per empty cell in one process
    overhead: list[float]  # additional seconds per cell in a grid, including start of workers and MLflow
    between_cells: list[float]  # seconds between the ends of successive cells
    peer: list[float]  # the same with a process per cell, Tune's default, without MLflow
    workers: list[float]  # cells per second of two workers relative to one, for cells that compute
    mlflow: list[float]  # CPU time of feeding MLflow (driver and server) relative to the time of two workers

    @property
    def ratio(self) -> float:
        """Rate of empty cells relative to the peer's, median of the rounds.

        Our rate includes start-up and MLflow, the peer's only the time between cells.
        """
        ours = [bare + over for bare, over in zip(self.bare, self.overhead, strict=True)]
        return median(theirs / between_cells for between_cells, theirs in zip(ours, self.peer, strict=True))

    def summary(self) -> dict[str, float | int | None]:
        """The medians by name, for JSON."""
        return {
            "ratio": self.ratio,
            "cells": self.cells,
            "bare_seconds": median(self.bare),
            "overhead_seconds": median(self.overhead),
            "seconds_between_cells": median(self.between_cells),
            "peer_seconds_between_cells": median(self.peer),
            "two_workers_over_one": median(self.workers) if self.workers else None,
            "mlflow_share": median(self.mlflow) if self.mlflow else None,
        }

    def text(self) -> str:
        """The medians as text."""
        lines = [
            f"{self.cells} empty cells, {len(self.bare)} rounds, medians",
            f"  in one process              {median(self.bare):7.3f} s per cell",
            f"  in a grid, additionally     {median(self.overhead):7.3f} s per cell with start-up, MLflow",
            f"  between cells               {median(self.between_cells):7.3f} s",
            f"  without reused workers      {median(self.peer):7.3f} s; our rate, with start-up and MLflow, "
            f"is {self.ratio:.1f} times that",
        ]
        if self.workers:
            lines += [
                f"two workers                   {median(self.workers):7.2f} times one, cells that compute",
                f"MLflow                        {100 * median(self.mlflow):7.2f} % of their time",
            ]
        return "\n".join(lines)


def bench_grid(count: int, rounds: int, say: Say) -> GridFigures:
    """Run the benchmark, alternating between the variants.

    Our variant is that of a grid: Tune with reused workers, each cell's folder, lock, journal and record, and
    a driver that feeds an MLflow server. The peer is a plain Tune script: the same cells with a process per
    cell, as without `reuse_actors`, and without MLflow.

    Args:
        count: number of empty cells.
        rounds: number of measurements per variant.
        say: prints a line to the user.
    """
    empty, busy = cells(count), cells(BUSY_CELLS, BUSY_STEPS)
    figures = GridFigures(count, [], [], [], [], [], [])
    with cluster() as ray_cluster, TemporaryDirectory() as folder, served(Path(folder)) as mlflow:
        for number in range(1, rounds + 1):
            bare = run_sequentially(empty, run_empty_cell) / count
            ours, _ = run_with_ray(empty, None, run_empty_cell, mlflow)
            theirs, _ = run_with_ray(empty[:PEER_CELLS], None, run_empty_cell, None, reuse=False)
            figures.bare.append(bare)
            figures.overhead.append((ours.seconds + ours.drain_seconds) / count - bare)
            figures.between_cells.append(_seconds_between(ours.end_times))
            figures.peer.append(_seconds_between(theirs.end_times))
            say(
                f"round {number}: {figures.overhead[-1]:.3f} s per cell ({ours.seconds:.1f} s, the first "
                f"after {ours.end_times[0]:.1f} s, MLflow {ours.drain_seconds:.1f} s longer), "
                f"{figures.between_cells[-1]:.3f} s between cells, {figures.peer[-1]:.3f} s without reused "
                "workers"
            )
            if ray_cluster.cpus < 2:
                continue
            _, one = run_with_ray(busy, 1, run_cell, mlflow)
            both, two = run_with_ray(busy, 2, run_cell, mlflow)
            figures.workers.append(two / one)
            figures.mlflow.append(both.feed_seconds / (2 * both.seconds))
            say(
                f"round {number}: one worker {one:.3f}, two {two:.3f} cells/s; "
                f"MLflow {both.feed_seconds:.2f} s of CPU in {both.seconds:.1f} s"
            )
    return figures


def _seconds_between(end_times: list[float]) -> float:
    return (end_times[-1] - end_times[0]) / (len(end_times) - 1)
