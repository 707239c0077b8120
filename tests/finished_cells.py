"""Cells that have ended, without being trained."""

from dataclasses import asdict

from qcrd.grid.plan.study import Study
from qcrd.storage.files import write_json
from qcrd.types import CellRecord


def finish(study: Study, number: int, right: int, status: str = "done") -> None:
    planned, cell_id = study.cells[number], study.ids[number]
    folder = study.home.cell(cell_id)
    accuracy = {"test": 25.0 * right, "validation": 50.0, "test_last": 25.0, "test_best": 100.0}
    record = CellRecord(
        id=cell_id,
        name=planned.name,
        status=status,
        identity={},
        settings=planned.cell.settings.model_dump(mode="json"),
        accuracy=accuracy,
        chosen_step=3,
        seconds=20.0,
    )
    test = [{"question_id": f"q{i}", "text": "", "label": "", "correct": i < right} for i in range(4)]
    write_json(folder / "predictions.json", {"step": 3, "validation": [], "test": test})
    write_json(folder / "record.json", asdict(record))
