"""qcrd: distil chain-of-thought rationales into small students, and compare the ways of doing so.

The Python interface (docs/python.ipynb)::

    grid = qcrd.load_grid("grids/quickstart.yaml")
    grid.run()
    grid.results()                                # a pandas.DataFrame, one row a cell
    grid.cell("qcrd").student()("Ann has 3 apples ...")

Names are imported when they are first used, so that `import qcrd` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qcrd.api.cell import GridCell
    from qcrd.api.grid import Grid, load_grid, results, teacher_samples
    from qcrd.api.student import Student
    from qcrd.cell.answering import Answer

__version__ = "0.2.0"

__all__ = ["Answer", "Grid", "GridCell", "Student", "__version__", "load_grid", "results", "teacher_samples"]

_MODULES = {
    "Answer": "qcrd.cell.answering",
    "Grid": "qcrd.api.grid",
    "GridCell": "qcrd.api.cell",
    "Student": "qcrd.api.student",
    "load_grid": "qcrd.api.grid",
    "results": "qcrd.api.grid",
    "teacher_samples": "qcrd.api.grid",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'qcrd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
