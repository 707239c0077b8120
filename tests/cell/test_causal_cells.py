"""Cells with decoder-only students, from settings to record."""

import json

import pytest
from daily import some
from small_cells import Killed, elsewhere, fill, make_cell

from qcrd import config
from qcrd.cell.answering import Answerer
from qcrd.cell.finished import FinishedCell
from qcrd.cell.run import run_cell
from qcrd.storage.home import STUDENT, Home

LLAMA = config.Architecture(family="llama", d_model=16, d_kv=8, d_ff=32, layers=2, heads=2, kv_heads=1)
TASK = config.Task(train=16, validation=6, test=8)
WEIGHTS = {"whole": "model.safetensors", "lora": "adapter_model.safetensors"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home, make_cell(home, task=TASK))
    return home


def causal_cell(home, kind, **sections):
    adapter = config.Adapter(r=2, alpha=4.0, dropout=0.1) if kind == "lora" else None
    student = config.Student(
        architecture=LLAMA, adapter=adapter, max_input=64, max_rationale=40, max_label=12
    )
    training = config.Training(steps=8, batch=8, lr=5e-3, evaluate_every=4, max_tokens=600)
    return make_cell(home, task=TASK, **{"student": student, "training": training} | sections)


@pytest.mark.parametrize("kind", some(["lora", "whole"], ["lora"]))
def test_a_killed_cell_ends_with_the_weights_of_one_that_was_left_alone(home, tmp_path, kind):
    def kill(progress):
        if progress.step == 6:
            raise Killed

    kept = []
    for name in ("alone", "killed"):
        own = elsewhere(home, tmp_path / name)
        cell = causal_cell(own, kind)
        if name == "killed":
            with pytest.raises(Killed):
                run_cell(cell, "cell", own, report=kill)
        record = run_cell(cell, "cell", own)
        folder = own.cell(record.id)
        kept.append(
            ((folder / "predictions.json").read_bytes(), (folder / STUDENT / WEIGHTS[kind]).read_bytes())
        )
    assert kept[0] == kept[1]


@pytest.mark.parametrize("kind", ["whole", "lora"])
def test_the_kept_student_answers_as_it_was_evaluated(home, tmp_path, kind):
    own = elsewhere(home, tmp_path / "own")
    record = run_cell(causal_cell(own, kind, method="dss"), "cell", own)
    finished = FinishedCell.find(own, record.id)
    answers = Answerer(finished.cell, finished.student)(finished.cell.data.splits.test)
    predictions = json.loads((finished.folder / "predictions.json").read_text())
    assert [answer.label for answer in answers] == [row["text"] for row in predictions["test"]]
