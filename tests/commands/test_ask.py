"""`qcrd ask`: a finished cell's student answers."""

import json

import pytest
from tiny_grid import Run, recorded_answers

import qcrd


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("ask")
    methods = "product: {method: [finetuning, dss, qcrd]}"
    run = Run(folder, recorded_answers(folder / "answers.jsonl"), methods, steps=40, every=20)
    for method in ("finetuning", "dss"):
        run("train", str(run.grid), "--cell", method)
    return run


def test_the_student_answers_as_it_was_evaluated_and_explains(tiny):
    cell = qcrd.load_grid(tiny.grid, home=tiny.home).cell("dss")
    predictions = cell.predictions()
    first, second = predictions[predictions.split == "test"].iloc[:2].itertuples()
    output = tiny("ask", str(tiny.grid), "dss", first.question)
    answer = cell.student()(first.question)
    assert (answer.label, bool(answer.rationale)) == (first.predicted, True)
    assert f"label: {answer.label}\nrationale: {answer.rationale}\n" in output
    output = tiny("ask", str(tiny.grid), "dss seed=0", first.question, second.question, "--json")
    answers = json.loads(output[output.index("[\n") :])
    assert [answer["label"] for answer in answers] == [first.predicted, second.predicted]


def test_several_questions_are_told_apart_and_a_method_without_rationales_gives_none(tiny):
    output = tiny("ask", str(tiny.grid), "finetuning", "Ann has 3 cards.", "Bob has 4 cards.")
    assert [line for line in output.splitlines() if line.startswith("===")] == [
        "=== Ann has 3 cards.",
        "=== Bob has 4 cards.",
    ]
    assert "rationale:" not in output


def test_a_cell_that_is_not_finished_cannot_be_asked(tiny):
    assert "is not finished; train it, or run its grid" in tiny("ask", str(tiny.grid), "qcrd", "Why?", code=2)
