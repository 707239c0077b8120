"""Which fields of a data set are found without being named."""

import json

import pytest

from qcrd.errors import DataError
from qcrd.tasks.own.detect import detect


def write(folder, rows):
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("row", "own"),
    [
        (
            {"question": "2 and 3?", "answer": "5"},
            {"label": "answer", "kind": "equation"},
        ),
        (
            {"Problem": "2 and 3?", "Answer": "2 + 3", "Explanation": "They add up."},
            {"question": "Problem", "label": "Answer", "kind": "equation", "rationale": "Explanation"},
        ),
        (
            {"question": "Who?", "answer": "the postman"},
            {"label": "answer", "kind": "text"},
        ),
        (
            {"question": "Ann has 3 ...", "answer": "3*4=<<3*4=12>>12.\n#### 12"},
            {"label": "answer", "kind": "equation", "label_after": "####", "rationale": "answer"},
        ),
        (
            {"stem": "Hot?", "options": ["ice", "fire"], "answer": "fire"},
            {"question": "stem", "label": "answer", "kind": "choice", "choices": "options"},
        ),
        (
            {"context": "The Nile flows north.", "question": "Where?", "answer": "north"},
            {"question": ("context", "question"), "label": "answer", "kind": "text"},
        ),
    ],
)
def test_fields_are_found_by_their_usual_names_and_the_kind_by_the_labels(tmp_path, row, own):
    source = write(tmp_path, [{**row, "id": str(i)} for i in range(4)])
    found = detect(source)
    assert {**found.model_dump(exclude_defaults=True), "kind": found.kind} == {**own, "id": "id"}


def test_choices_are_left_out_where_the_kind_is_said_to_be_another(tmp_path):
    rows = [{"question": f"{i}?", "options": ["ice", "fire"], "answer": "fire"} for i in range(4)]
    own = detect(write(tmp_path, rows), kind="text")
    assert (own.kind, own.choices) == ("text", None)


def test_few_labels_on_many_rows_are_the_choices_of_all_questions(tmp_path):
    rows = [
        {"premise": f"It rains {i} times.", "hypothesis": "It is wet.", "label": ["yes", "no"][i % 2]}
        for i in range(12)
    ]
    own = detect(write(tmp_path, rows))
    assert (own.kind, own.choices, own.question) == ("choice", ("no", "yes"), ("premise", "hypothesis"))


def test_what_is_named_is_not_guessed(tmp_path):
    source = write(tmp_path, [{"question": "Who?", "answer": "5", "who": "Ann"}] * 3)
    own = detect(source, label="who", question=["question"])
    assert (own.label, own.kind, own.question) == ("who", "text", ("question",))
    assert detect(source, kind="text").kind == "text"


def test_a_field_that_is_the_label_is_nothing_else(tmp_path):
    own = detect(write(tmp_path, [{"question": "Why?", "why": "so"}] * 3), label="why")
    assert own.rationale is None


def test_fields_without_usual_names_are_asked_for_with_those_there_are(tmp_path):
    source = write(tmp_path, [{"q": "Who?", "a": "Ann"}] * 3)
    with pytest.raises(DataError, match=r"--question: no field .* name one of q, a"):
        detect(source)
    with pytest.raises(DataError, match="--label: no field"):
        detect(source, question=["q"])
    assert detect(source, question=["q"], label="a").label == "a"


def test_data_that_cannot_be_loaded_is_refused_with_its_row(tmp_path):
    source = write(tmp_path, [{"question": "Who?", "answer": "Ann"}, {"question": "Who?", "answer": ""}])
    with pytest.raises(DataError, match=r"data\.jsonl, line 2 has nothing in 'answer'"):
        detect(source)
