"""Own data sets: files of every form, read as a configuration describes them."""

import json

import datasets
import pytest
from pydantic import ValidationError

from qcrd import config, tasks
from qcrd.cell.data import without_gold
from qcrd.errors import DataError
from qcrd.samples.requests import requests
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.types import Prompt

ROWS = [
    {"question": f"What do you get if you add {n} to {n + 1}?", "label": f"{n} + {n + 1}", "why": f"Add {n}."}
    for n in range(20)
]


def section(source, **settings):
    sizes = {name: settings.pop(name) for name in ("train", "validation", "test", "seed") if name in settings}
    return config.Task.model_validate({"name": "own", "source": str(source), "own": settings, **sizes})


def load(source, **settings):
    found = section(source, **settings)
    return tasks.of(found).load(found)


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def sums(tmp_path):
    return jsonl(tmp_path / "sums.jsonl", ROWS)


def write(form, path):
    table = datasets.Dataset.from_list(ROWS)
    if form == "jsonl":
        return jsonl(path / "sums.jsonl", ROWS)
    if form == "json":
        (path / "sums.json").write_text(json.dumps(ROWS))
    elif form == "csv":
        table.to_csv(path / "sums.csv")
    else:
        table.to_parquet(path / "sums.parquet")
    return path / f"sums.{form}"


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_every_form_gives_the_same_questions(tmp_path, sums, form):
    (tmp_path / form).mkdir()
    settings = {"kind": "equation", "rationale": "why"}
    assert load(write(form, tmp_path / form), **settings) == load(sums, **settings)


def test_a_single_file_is_dealt_into_three_disjoint_splits(sums):
    splits = load(sums, kind="equation")
    sizes = [len(getattr(splits, name)) for name in ("train", "validation", "test")]
    assert sizes == [17, 1, 2]
    ids = [q.id for name in ("train", "validation", "test") for q in getattr(splits, name)]
    assert sorted(ids) == sorted(f"own-train-{i}" for i in range(20))
    assert load(sums, kind="equation") == splits
    assert load(sums, kind="equation", seed=1).test != splits.test
    sized = load(sums, kind="equation", train=8, validation=4, test=5)
    assert [len(getattr(sized, name)) for name in ("train", "validation", "test")] == [8, 4, 5]


def test_a_folders_own_splits_are_kept_and_only_what_lacks_is_held_out(tmp_path):
    for name, rows in (("train", ROWS[:14]), ("test", ROWS[14:])):
        jsonl(tmp_path / f"{name}.jsonl", rows)
    splits = load(tmp_path, kind="equation")
    assert [q.id for q in splits.test] == [f"own-test-{i}" for i in range(6)]
    assert (len(splits.train), len(splits.validation)) == (13, 1)
    swapped = load(tmp_path, kind="equation", train_split="test", test_split="train")
    assert len(swapped.test) == 14


def test_splits_that_are_not_there_or_the_same_are_refused(sums):
    with pytest.raises(DataError, match=r"task\.own\.test_split: the source has no 'tran'.*mean 'train'"):
        load(sums, kind="equation", test_split="tran")
    with pytest.raises(DataError, match="two splits are the same"):
        load(sums, kind="equation", test_split="train")


def test_questions_may_be_put_together_and_fields_nested(tmp_path):
    rows = [{"item": {"a": "It rains.", "b": "Is it dry?"}, "gold": "no", "key": f"k{i}"} for i in range(4)]
    splits = load(
        jsonl(tmp_path / "nested.jsonl", rows), question=["item.a", "item.b"], label="gold", id="key"
    )
    assert {q.text for q in splits.train} == {"It rains.\nIs it dry?"}
    assert {q.id for q in splits.train} < {"k0", "k1", "k2", "k3"}


@pytest.mark.parametrize("label", ["cup", " Cup ", 1, "1", "b", "B"])
def test_a_choice_is_named_by_text_number_or_letter(tmp_path, label):
    row = {"question": "What holds tea?", "options": ["sieve", "cup", "net"], "label": label}
    splits = load(jsonl(tmp_path / "a.jsonl", [row] * 4), kind="choice", choices="options")
    question = splits.train[0]
    assert (question.label, question.choices) == ("cup", ("sieve", "cup", "net"))
    assert question.text == "What holds tea?\nAnswer Choices:\n(a) sieve\n(b) cup\n(c) net"
    task = tasks.of(section(tmp_path, kind="choice", choices="options"))
    assert task.parse("It is deep. The answer is (b).", question).label == "cup"
    assert "letter of the choice" in task.prompt(question).system


def test_labels_that_all_questions_have_are_told_to_the_teacher_once(tmp_path):
    rows = [{"question": f"Is {i} even?", "label": "no" if i % 2 else "yes"} for i in range(6)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    question = load(path, kind="choice", choices=["yes", "no"]).train[0]
    assert question.text.startswith("Is ") and "\n" not in question.text
    task = tasks.of(section(path, kind="choice", choices=["yes", "no"]))
    assert task.prompt(question).system.endswith("The answer is one of: yes, no.")
    assert task.parse("Halve it. The answer is no, because it is odd.", question).label == "no"


@pytest.mark.parametrize(
    ("settings", "row", "message"),
    [
        ({"question": "qestion"}, {}, r"task\.own\.question: a\.jsonl, line 1 has no field 'qestion'"
         r"; it has: .*did you mean 'question'"),
        ({"label": "a.b"}, {"a": "x"}, r"own\.label: a\.jsonl, line 1 has no field 'a\.b'; it has: none"),
        ({}, {"label": None}, r"has nothing in 'label'; fill it"),
        ({"kind": "equation"}, {"label": "many"}, "'many'; allowed: an equation"),
        ({"kind": "choice", "choices": ["x", "y"]}, {"label": "z"}, "'z'; allowed: one of 'x', 'y'"),
        ({"kind": "choice", "choices": "options"}, {"options": ["x"]}, "at least two texts"),
        ({}, {"label": "One. Two"}, "allowed: a text without a full stop"),
        ({"id": "question"}, {}, r"task\.own\.id: 'How\?' is there twice"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_with_what_is_there(tmp_path, settings, row, message):
    rows = [{"question": "How?", "label": "so", **row}] * 4
    with pytest.raises(DataError, match=message):
        load(jsonl(tmp_path / "a.jsonl", rows), **settings)


def test_ids_and_labels_are_as_the_file_writes_them(tmp_path):
    rows = [{"question": "Born 1960-07-20?\r\n  Yes.", "label": label, "id": id} for label, id in (
        ("1960-07-20", "1961-07-20"), ("007", 7), ("NA", 12345678901234567890), (2.5, "a  b"))]  # fmt: skip
    path = jsonl(tmp_path / "a.jsonl", rows)
    path.write_text(path.read_text().replace("2.5", "2.50"))
    splits = load(path, id="id")
    found = {q.id: q.label for part in (splits.train, splits.validation, splits.test) for q in part}
    assert found == {"1961-07-20": "1960-07-20", "7": "007", "12345678901234567890": "NA", "a  b": "2.50"}
    assert splits.train[0].text == "Born 1960-07-20?\n  Yes."


def test_integer_ids_join_with_recorded_answers(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{**row, "id": i} for i, row in enumerate(ROWS)])
    answers = jsonl(tmp_path / "answers.jsonl", [{"id": i, "samples": [f"is {i}"]} for i in range(20)])
    asked = requests(load(path, kind="equation", id="id").train, lambda q: Prompt(q.text), 1, 0)
    (found,) = RecordedTeacher(str(answers))(asked)
    assert len(found) == 17 and all(sample.text == f"is {sample.question_id}" for sample in found)


ARC = {"text": ["glass", "wood", "air", "salt"], "label": ["1", "2", "3", "4"]}
LISTED = [{"label": key, "text": text} for key, text in zip("ABCD", ARC["text"], strict=True)]


@pytest.mark.parametrize(
    ("options", "label", "settings"),
    [
        (ARC, "2", {"choices": "options.text"}),
        (ARC, "2", {"choices": "options"}),
        (ARC, 2, {"choices": "options"}),
        (ARC, "wood", {"choices": "options"}),
        (ARC, "2", {"choices": "options.text", "keys": "options.label"}),
        ({**ARC, "label": list("ABCD")}, "B", {"choices": "options.text"}),
        (LISTED, "B", {"choices": "options"}),
        (dict(zip("ABCD", ARC["text"], strict=True)), "B", {"choices": "options"}),
        ({**dict(zip("ABCD", ARC["text"], strict=True)), "E": None}, "B", {"choices": "options"}),
        (ARC["text"], 1, {"choices": "options"}),
        (ARC["text"], ["wood"], {"choices": "options"}),
        (ARC["text"], 2, {"choices": "options", "label_is": "index1"}),
    ],
)
def test_the_names_of_choices_are_used_in_every_layout(tmp_path, options, label, settings):
    rows = [{"question": "What burns?", "options": options, "label": label}] * 4
    question = load(jsonl(tmp_path / "a.jsonl", rows), kind="choice", **settings).train[0]
    assert question.label == "wood" and question.choices == tuple(ARC["text"])


def test_the_same_number_is_an_index_as_an_integer_and_undecided_as_a_text(tmp_path):
    row = {"question": "4!?", "options": ["8", "2", "24", "120"], "label": 2}
    settings = {"kind": "choice", "choices": "options"}
    assert load(jsonl(tmp_path / "a.jsonl", [row] * 4), **settings).train[0].label == "24"
    as_text = jsonl(tmp_path / "b.jsonl", [{**row, "label": "2"}] * 4)
    with pytest.raises(
        DataError, match=r"text .*'2'\) or as index0 .*'24'.*b\.jsonl, line 1 has '2'.*label_is"
    ):
        load(as_text, **settings)
    assert load(as_text, **settings, label_is="text").train[0].label == "2"
    with pytest.raises(DataError, match=r"has '2'; allowed: a letter from A to D"):
        load(as_text, **settings, label_is="letter")


def test_a_list_of_several_texts_is_of_right_answers_any_of_which_counts(tmp_path):
    answers = ["Denver Broncos", "The Broncos", "Denver Broncos.", "d. Broncos. yes"]
    rows = [{"question": "Who won?", "answers": {"text": answers, "answer_start": [1]}}] * 4
    path = jsonl(tmp_path / "a.jsonl", rows)
    question = load(path, label="answers.text").train[0]
    assert question.label == "Denver Broncos" and question.also == ("The Broncos", "d. Broncos. yes")
    task = tasks.of(section(path, label="answers.text"))
    assert all(task.correct(answer, question) for answer in answers)
    assert not task.correct("Broncos", question) and not task.correct("", question)
    read = [task.parse(f"They won. The answer is {answer}.", question) for answer in answers[:2]]
    assert [p.label for p in read] == answers[:2] and {p.answer for p in read} == {"denver broncos"}
    blank = without_gold(question)
    assert task.parse("The answer is The Broncos.", blank).answer == "the broncos"  # no gold gets in


def test_several_right_numbers_are_compared_by_value(tmp_path):
    rows = [{"question": "A root of 4?", "label": [2, "-2", "2.0"]}] * 4
    question = load(jsonl(tmp_path / "a.jsonl", rows), kind="equation").train[0]
    assert (question.label, question.also) == ("2", ("-2",))
    task = tasks.of(section(tmp_path, kind="equation"))
    assert task.correct("0 - 2", question) and task.correct("4 / 2", question)
    assert not task.correct("4", question)


def test_other_right_answers_enter_the_fingerprint_only_where_there_are_some(sums, tmp_path):
    splits = load(sums, kind="equation")
    rows = [{**row, "label": [row["label"]]} for row in ROWS]
    assert load(jsonl(tmp_path / "b.jsonl", rows), kind="equation").fingerprint() == splits.fingerprint()
    rows = [{**row, "label": [row["label"], "7"]} for row in ROWS]
    assert load(jsonl(tmp_path / "c.jsonl", rows), kind="equation").fingerprint() != splits.fingerprint()


def test_the_first_right_answer_that_can_be_read_back_is_trained_on(tmp_path):
    rows = [{"question": "When?", "label": ["It is. Seven", "7 pm"]}] * 4
    question = load(jsonl(tmp_path / "a.jsonl", rows)).train[0]
    assert (question.label, question.also) == ("7 pm", ("It is. Seven",))


def test_a_conversation_is_its_last_turn_of_the_user(tmp_path):
    turns = [("system", "Be short."), ("user", "Hi"), ("assistant", "Hi."), ("user", "How many?"),
             ("assistant", "7")]  # fmt: skip
    rows = [{"question": [{"role": r, "content": c} for r, c in turns], "label": "7"}] * 4
    assert load(jsonl(tmp_path / "a.jsonl", rows)).train[0].text == "How many?"


def test_a_label_stands_between_marks(tmp_path):
    rows = [{"question": "?", "label": "3+4 = <<3+4=7>>7 cups.\nSo 7.\n#### 1,007 (cups)"}] * 4
    settings = {"label_after": "####", "label_before": "(", "kind": "equation", "rationale": "label"}
    question = load(jsonl(tmp_path / "a.jsonl", rows), **settings).train[0]
    assert (question.label, question.rationale) == ("1007", "3+4 = 7 cups. So 7.")


MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]


@pytest.mark.parametrize(
    ("row", "settings", "says"),
    [
        ({"label": {"value": "x"}}, {}, "a.jsonl, line 2: field 'label' has an object with value; name"),
        ({"label": [["a"], ["b"]]}, {}, r"field 'label' has a list of a list of 1, of the text 'a'"),
        ({"question": {"stem": "?"}}, {}, "line 2: field 'question' has an object with stem"),
        ({"question": ["a", "b"]}, {}, "line 2 has a list of 2 texts in 'question'; expected one"),
        ({"question": MESSAGES}, {}, "no message of the user with a text"),
        ({"question": [{"role": "assistant", "content": "Hi"}]}, {}, "no message of the user"),
        ({"label": []}, {}, "line 2 has nothing in 'label'"),
        ({"label": "  "}, {}, "line 2 has nothing in 'label'"),
        ({"question": None}, {}, "line 2 has nothing in 'question'"),
        ({"label": "\ud83d"}, {}, r"line 2: field 'label' has half a surrogate pair \('\\ud83d'\)"),
        ({"label": ["x", "y"]}, {"kind": "choice", "choices": ["x", "y"]}, "a choice has one correct answer"),
        ({"id": ["a", "b"]}, {"id": "id"}, "has a list of 2 texts in 'id'"),
        ({"label": "9 (a); 8 (b)"}, {"label_before": "("}, r"has '\(' 2 times in 'label'"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_with_its_row_field_and_type(tmp_path, row, settings, says):
    good = [{"question": f"{i}?", "label": "x", "id": f"{i}"} for i in range(8)]
    path = jsonl(tmp_path / "a.jsonl", [good[0], {**good[1], **row}, *good[2:]])
    with pytest.raises(DataError, match=says) as refused:
        load(path, **settings)
    assert "1 of 8 rows cannot be used as questions; task.own.drop" in str(refused.value)
    assert len(load(path, **settings, drop=0.2).train) == 7 - 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([f"thing {i}" for i in range(27)], "has 27 choices; allowed: up to 26"),
        (["a", None], r"has nothing as its choice 1 \(from 0\)"),
        (["a", " "], r"has nothing as its choice 1"),
        (["Cup", "cup."], "has 'Cup' and 'cup.', which count as the same answer"),
        (["cup", ["net"]], "has a list of a list of 1"),
        ("cup, net", "has the text 'cup, net'; expected a list of at least two"),
        ([], r"has a list of 0; expected a list of at least two"),
        ({"text": ["a", "b"], "label": ["1"]}, r"task\.own\.keys: .* a list of 1.* beside 2 choices"),
        ({"text": ["a", "b"], "label": ["1", "1"]}, r"task\.own\.keys: .*expected names that differ"),
    ],
)  # fmt: skip
def test_choices_that_are_none_are_refused_or_left_out_with_their_row(tmp_path, caplog, options, says):
    good = [{"question": "?", "options": ["a", "b"], "label": "a"}] * 9
    path = jsonl(tmp_path / "a.jsonl", [*good, {**good[0], "options": options}])
    settings = {"kind": "choice", "choices": "options"}
    with pytest.raises(DataError, match=f"a.jsonl, line 10.*{says}" if "keys" not in says else says):
        load(path, **settings)
    splits = load(path, **settings, drop=0.1)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 9
    assert "1 of 10 rows cannot be used as questions and are dropped; the first: task.own." in caplog.text


def test_labels_for_all_that_count_as_the_same_are_refused(sums):
    with pytest.raises(DataError, match="'yes' and 'Yes', which count as the same answer"):
        load(sums, kind="choice", choices=["yes", "Yes"], drop=0.5)


def test_a_set_without_one_good_row_is_refused_whatever_may_be_left_out(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"question": "?", "label": None}] * 4)
    with pytest.raises(DataError, match="4 of 4 rows"):
        load(path, drop=1)


def test_sources_that_cannot_be_read_are_refused_with_the_forms_that_can(tmp_path):
    (tmp_path / "a.txt").write_text("question label")
    for place in (tmp_path / "a.txt", tmp_path / "nothing.jsonl", tmp_path / "nothing"):
        with pytest.raises(DataError, match=r"task\.source: .*\.jsonl, \.json, \.csv, \.parquet"):
            load(place)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "own"}, "task.source is needed"),
        ({"name": "svamp", "own": {"kind": "equation"}}, "task.own is only read where task.name is 'own'"),
        ({"name": "own", "source": "a", "own": {"kind": "choice"}}, "task.own.choices is needed"),
        ({"name": "own", "source": "a", "own": {"choices": ["a", "b"]}}, "only read where task.own.kind is"),
        ({"name": "own", "source": "a", "own": {"kind": "choice", "choices": [True, False]}}, "in quotes"),
        ({"name": "own", "source": "a", "own": {"kind": "choice", "choices": ["a"]}}, "at least two"),
        ({"name": "own", "source": "a", "own": {"label_is": "text"}}, "only read where task.own.kind is"),
        (
            {"name": "own", "source": "a", "own": {"keys": "k"}},
            "only read where task.own.choices is the field",
        ),
        ({"name": "own", "source": "a", "own": {"label_after": ""}}, "at least 1 character"),
        ({"name": "own", "source": "a", "own": {"question": []}}, "a field, or a list of fields"),
    ],
)
def test_descriptions_that_mean_nothing_are_refused(task, message):
    with pytest.raises(ValidationError, match=message):
        config.Task.model_validate(task)
