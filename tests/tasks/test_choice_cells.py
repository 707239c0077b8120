"""Whole cells on the data sets with choices: recorded answers of PaLM, a small random student."""

import pytest
from small import SHAPE

from qcrd import config
from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.preparation import prepare
from qcrd.cell.resolved import resolve
from qcrd.cell.run import run_cell
from qcrd.samples.draw import draw
from qcrd.storage.home import Home
from qcrd.teacher.recorded import RecordedTeacher


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method", "labels"),
    [("cqa", "dss", "gold"), ("anli1", "single_task", "gold"), ("esnli", "dss", "teacher")],
)
def test_a_cell_trains_on_recorded_answers(shared_data, tmp_path, name, method, labels):
    archive, home = str(shared_data / "dss" / "datasets.zip"), Home(tmp_path)
    settings = config.Cell(
        task=config.Task(name=name, source=archive, train=12, validation=8, test=8),
        teacher=config.Teacher(engine="recorded", path=archive),
        rationales=config.Rationales(labels=labels),
        student=config.Student(
            tokenizer=str(shared_data / "tokenizer_t5"), architecture=SHAPE, max_rationale=16, max_label=8
        ),
        method=method,
        training=config.Training(steps=2, batch=4, evaluate_every=2),
    )
    cell = resolve(settings)
    for split in ("train", "validation"):
        asked = sample_requests(cell, split, 1)
        draw(sample_store(cell, home), asked, RecordedTeacher(archive), lambda *_: None)
    prepared = prepare(cell, home)
    assert len(prepared.sets) == 12 and prepared.statistics["teacher/single"] > 50
    labels_seen = {s.label for s in prepared.sets}
    assert labels_seen <= {choice for question in prepared.questions for choice in question.choices}
    record = run_cell(cell, name, home, keep_student=False)
    assert record.status == "done" and set(record.accuracy) >= {"test", "validation"}
