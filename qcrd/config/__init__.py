"""The configuration: pydantic models of a cell and of a grid.

Every field's docstring describes it and the source of its default. Unknown keys are errors. Stages receive
only the section that they need, not a whole `Cell`.
"""

from qcrd.config.cell import (
    Adapter,
    Architecture,
    Cell,
    Contrastive,
    Discriminator,
    Edit,
    Evaluation,
    Rationales,
    Selection,
    SelfPlay,
    Student,
    Training,
)
from qcrd.config.data import Own, Task, Teacher
from qcrd.config.grid import Api, Grid, Overlay, Resources, merged
from qcrd.config.options import Options
from qcrd.config.section import Section

__all__ = [
    "Adapter",
    "Api",
    "Architecture",
    "Cell",
    "Contrastive",
    "Discriminator",
    "Edit",
    "Evaluation",
    "Grid",
    "Options",
    "Overlay",
    "Own",
    "Rationales",
    "Resources",
    "Section",
    "Selection",
    "SelfPlay",
    "Student",
    "Task",
    "Teacher",
    "Training",
    "merged",
]
