"""What one cell and one teacher's engine take of a cluster, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass

from qcrd.config import Resources
from qcrd.errors import QcrdError


@dataclass(frozen=True, slots=True)
class Shares:
    """CPUs and GPUs of one cell and of one teacher's engine."""

    cell_cpus: float
    cell_gpus: float
    teacher_cpus: float
    teacher_gpus: float

    @classmethod
    def of(cls, resources: Resources, cpus: float, gpus: float) -> Shares:
        """What `resources` asks for, with its defaults for a cluster of so many CPUs and GPUs.

        Raises:
            QcrdError: where that is more than the cluster has.
        """
        cell_gpus = (0.25 if gpus else 0) if resources.cell_gpus is None else resources.cell_gpus
        teacher_gpus = (1 if gpus else 0) if resources.teacher_gpus is None else resources.teacher_gpus
        # More cores than there are would wait for ever; the engine is content with fewer.
        teacher_cpus = min(resources.teacher_cpus, cpus / resources.teacher_actors)
        wanted = {
            "cell_cpus": (resources.cell_cpus, cpus, "CPUs"),
            "cell_gpus": (cell_gpus, gpus, "GPUs"),
            "teacher_gpus": (teacher_gpus * resources.teacher_actors, gpus, "GPUs"),
        }
        for field, (asked, there, what) in wanted.items():
            if asked > there:
                raise QcrdError(
                    f"resources.{field}: {asked:g} {what} are asked for, the cluster has {there:g}; "
                    f"allowed: up to {there:g}; lower it, or run where there are more"
                )
        return cls(resources.cell_cpus, cell_gpus, teacher_cpus, teacher_gpus)
