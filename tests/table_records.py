"""Records of cells for tables."""

from qcrd.report.model import Counterpart, Setting, TableRow
from qcrd.types import CellRecord


def record(accuracy, seed=0, status="done"):
    figures = {
        "test": accuracy,
        "validation": accuracy + 1,
        "test_last": accuracy - 1,
        "test_best": accuracy + 2,
    }
    return CellRecord(
        id=f"{accuracy}-{seed}",
        name="cell",
        status=status,
        identity={},
        settings={"seed": seed},
        accuracy=figures if status == "done" else {},
        chosen_step=300,
        seconds=1.0,
    )


def a_row(
    group, label, records, n_test, factor=None, base=False, combinations=(),
    published=None, deviations=(), source="", **others,
):  # fmt: skip
    """A row of a table, flat."""
    papers = Counterpart(published, deviations, source) if published is not None else None
    setting = Setting(group, label, factor, base, combinations)
    return TableRow(setting, records, n_test, counterpart=papers, **others)
