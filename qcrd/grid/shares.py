"""What one cell and one teacher's engine take of a cluster, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass

from qcrd.config import Resources
from qcrd.errors import QcrdError


def default_share(gpus: float) -> float:
    """Of a GPU for one cell where nobody says or has measured it."""
    return 0.25 if gpus else 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """CPUs and GPUs of one cell and of one teacher's engine."""

    cell_cpus: float
    cell_gpus: float
    teacher_cpus: float
    teacher_gpus: float

    @classmethod
    def of(
        cls, resources: Resources, cpus: float, gpus: float, node: tuple[float, float] | None = None
    ) -> Shares:
        """What `resources` asks for, with its defaults for a cluster of so many CPUs and GPUs.

        Args:
            resources: of the grid.
            cpus: of the cluster.
            gpus: of the cluster.
            node: most CPUs and most GPUs that one of its nodes has; None where it is a single node.

        Raises:
            QcrdError: where that is more than the cluster has, or than one node has of what cannot be split.
        """
        cell_gpus = default_share(gpus) if resources.cell_gpus in (None, "auto") else resources.cell_gpus
        teacher_gpus = (1 if gpus else 0) if resources.teacher_gpus is None else resources.teacher_gpus
        # More cores than there are would wait for ever; the engine is content with fewer.
        teacher_cpus = min(resources.teacher_cpus, cpus / resources.teacher_actors)
        node_cpus, node_gpus = node or (cpus, gpus)
        one, all_ = "one node has at most", "the cluster has"
        wanted = (
            ("cell_cpus", resources.cell_cpus, node_cpus, "CPUs", one if node else all_),
            ("cell_gpus", cell_gpus, node_gpus, "GPUs", one if node else all_),
            ("teacher_gpus", teacher_gpus * resources.teacher_actors, gpus, "GPUs", all_),
            ("teacher_gpus", teacher_gpus, node_gpus, "GPUs", f"an engine is on one node, and {one}"),
        )
        for field, asked, there, what, who in wanted:
            if asked > there:
                raise QcrdError(
                    f"resources.{field}: {asked:g} {what} are asked for, {who} {there:g}; "
                    f"allowed: up to {there:g}; lower it, or run where there are more"
                )
        return cls(resources.cell_cpus, cell_gpus, teacher_cpus, teacher_gpus)
