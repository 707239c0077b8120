import json
import logging
import zipfile

import pytest

from qcrd.errors import ConfigError, DataError
from qcrd.samples.draw import draw
from qcrd.samples.requests import requests
from qcrd.samples.store import SampleStore
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.types import Limit, Prompt, Question


def ask(ids, m):
    return requests([Question(id=i, text=i, label="1") for i in ids], lambda q: Prompt(q.text), m, 0)


def answered(teacher, asked):
    return [sample for batch in teacher(asked) for sample in batch]


def write(path, *rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_the_real_answers_of_palm_and_llama3_join_to_svamp_rows(shared_data):
    teacher = RecordedTeacher(str(shared_data / "multi" / "svamp_palm_llama3.jsonl"))
    assert len(teacher.answers) == 800
    samples = answered(teacher, ask(["svamp-train-0", "svamp-train-799"], 4))
    assert len(samples) == 8 and teacher.shortage == 0
    assert "84 / 2 = 42" in samples[0].text
    assert {(s.finish_reason, s.tokens) for s in samples} == {("stop", 0)}


def test_the_archive_of_distilling_step_by_step_gives_the_same_palm_answers(shared_data):
    archive = RecordedTeacher(str(shared_data / "dss" / "datasets.zip"))
    several = RecordedTeacher(str(shared_data / "multi" / "svamp_palm_llama3.jsonl"))
    assert all(archive.answers[i] == samples[:1] for i, samples in several.answers.items())


def test_lists_follow_each_other_in_row_order_past_the_tenth(tmp_path):
    folder = tmp_path / "datasets" / "svamp" / "llm"
    folder.mkdir(parents=True)
    for i in range(12):
        (folder / f"train_CoT_{i}.json").write_text(json.dumps([f"{i}a", f"{i}b"]))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.relative_to(tmp_path))
    for path in (folder.parents[1], folder.parent, tmp_path / "z.zip"):
        assert RecordedTeacher(str(path)).answers["svamp-train-21"] == ["10b"]
    (folder / "train_CoT_3.json").unlink()
    with pytest.raises(DataError, match="gaps"):
        RecordedTeacher(str(folder.parent))


def test_a_plain_text_id_is_the_question_id(tmp_path):
    teacher = RecordedTeacher(write(tmp_path / "f", {"id": "mine-7", "samples": ["a", "b"]}))
    assert [s.text for s in answered(teacher, ask(["mine-7"], 2))] == ["a", "b"]


def test_an_integer_id_is_its_text(tmp_path):
    teacher = RecordedTeacher(
        write(tmp_path / "f", {"id": 7, "samples": ["a"]}, {"id": "007", "samples": ["b"]})
    )
    assert [s.text for s in answered(teacher, ask(["7", "007"], 1))] == ["a", "b"]
    row = {"dataset": "own", "split": "train", "id": 12345678901234567890, "samples": ["c"]}
    assert set(RecordedTeacher(write(tmp_path / "g", row)).answers) == {"own-train-12345678901234567890"}


def test_an_answer_that_was_cut_off_stays_cut_off(tmp_path):
    reasons = ["stop", "length", "max_tokens", "MAX_TOKENS", "model_length", "end_turn", None]
    rows = [
        {
            "id": "a",
            "samples": list("abcdefg"),
            "finish_reasons": reasons,
            "tokens": [3, None, 0, 1, 2, 9, 4],
        },
        {"id": "b", "samples": ["h"], "finish_reasons": None, "tokens": None},
    ]
    samples = answered(RecordedTeacher(write(tmp_path / "f", *rows)), ask(["a", "b"], 7))
    assert [s.finish_reason for s in samples] == ["stop", *["length"] * 4, "stop", "stop", "stop"]
    assert [s.tokens for s in samples] == [3, 0, 0, 1, 2, 9, 4, 0]


def test_asking_for_more_than_there_is_uses_fewer_and_says_so(tmp_path, caplog):
    teacher = RecordedTeacher(
        write(tmp_path / "f", {"id": "a", "samples": ["1", "2"]}, {"id": "b", "samples": ["3"]})
    )
    with caplog.at_level(logging.WARNING):
        assert [s.text for s in answered(teacher, ask(["a", "b", "c"], 2))] == ["1", "2", "3"]
    assert teacher.shortage == 3
    assert "3 of 6 answers are not recorded (1 questions have none)" in caplog.text


def test_answers_to_another_data_set_are_an_error(tmp_path):
    teacher = RecordedTeacher(write(tmp_path / "f", {"id": "a", "samples": ["1"]}))
    with pytest.raises(DataError, match=r"asked for b, has a.*another data set"):
        teacher.check(ask(["b"], 1))
    teacher.check(ask(["a", "b"], 1))
    teacher.check([])


def test_a_rerun_that_only_wants_what_is_not_recorded_is_no_error(tmp_path):
    teacher = RecordedTeacher(write(tmp_path / "f", {"id": "a", "samples": ["1"]}))
    store, wanted = SampleStore(tmp_path / "s", {"engine": "recorded"}, Limit(256)), ask(["a", "b"], 2)
    for _ in range(2):
        teacher.check(wanted)
        assert draw(store, wanted, teacher, lambda *_: None) == 3


def test_environment_variables_in_the_path_are_expanded(tmp_path, monkeypatch):
    write(tmp_path / "f", {"id": "a", "samples": ["1"]})
    monkeypatch.setenv("ANSWERS", str(tmp_path))
    assert RecordedTeacher("${ANSWERS}/f").answers == {"a": ["1"]}


def test_an_unset_variable_and_an_absent_file_are_named(monkeypatch):
    monkeypatch.delenv("NO_SUCH_PLACE", raising=False)
    with pytest.raises(ConfigError, match="variable NO_SUCH_PLACE is not set"):
        RecordedTeacher("$NO_SUCH_PLACE/f")
    with pytest.raises(ConfigError, match="nothing at /no/such/file"):
        RecordedTeacher("/no/such/file")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2"),
        ('{"id": "a"}', "'samples' is missing"),
        ('{"id": "a", "samples": "x"}', "not a list of texts"),
        ('{"id": 1.5, "samples": []}', "line 2: id is 1.5, neither a text nor an integer"),
        ('{"id": true, "samples": []}', "id is True"),
        ('{"id": "b", "samples": ["x"], "finish_reasons": []}', "finish_reasons is no list of 1"),
        ('{"id": "b", "samples": ["x"], "finish_reasons": "stop"}', "finish_reasons is no list of 1"),
        ('{"id": "b", "samples": ["x"], "finish_reasons": [1]}', "has 1, neither a text nor null"),
        ('{"id": "b", "samples": ["x"], "tokens": [-1]}', "tokens has -1"),
        ('{"id": "b", "samples": ["x"], "tokens": ["7"]}', "tokens has '7'"),
        ('{"id": "ok", "samples": []}', "two entries"),
        ("[]", "line 2"),
    ],
)
def test_a_line_in_another_form_is_named(tmp_path, line, says):
    (tmp_path / "f").write_text('{"id": "ok", "samples": ["x"]}\n' + line)
    with pytest.raises(DataError, match=says):
        RecordedTeacher(str(tmp_path / "f"))
