"""GSM8K from every source, and the real gold and teacher answers read."""

import json
import re
from fractions import Fraction

import pytest

from qcrd import config
from qcrd.errors import DataError
from qcrd.samples.requests import Request
from qcrd.tasks import equations, get
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.types import Question

TASK = get("gsm8k")
RECORDED = [7395, 7410, 7327, 7070], [7417, 7424, 7429, 7429]  # right, read; of 7,439, 7,439, 7,430 and 7,430


def load(source, **settings):
    return TASK.load(config.Task(name="gsm8k", source=str(source), **settings))


@pytest.fixture(scope="module")
def folder(shared_data):
    found = shared_data / "gsm8k"
    if not found.is_dir():
        pytest.skip(f"GSM8K not found: {found}")
    return found


@pytest.fixture(scope="module")
def splits(folder):
    return load(folder)


def rows(folder, split):
    with open(folder / f"{split}.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def row(i):
    answer = (
        f"Tom had {i}+2 = <<{i}+2={i + 2}>>{i + 2} pens.\nHe lost 1, so {i + 1} were left.\n#### {i + 1:,}"
    )
    return {"question": f"Tom had {i} pens  and got 2.\nHe lost 1. How many?", "answer": answer}


def published(folder, train=30, test=5):
    """A folder as the data set's authors publish it, beside which recorded answers may lie."""
    folder.mkdir(exist_ok=True)
    for split, n in (("train", train), ("test", test)):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row(i)) + "\n" for i in range(n)))
    (folder / "recorded.jsonl").write_text(json.dumps({"id": "0", "samples": ["3"]}) + "\n")
    return folder


def test_a_row_becomes_a_question_with_its_number_and_a_rationale_without_calculator_marks(tmp_path):
    splits = load(published(tmp_path, train=1300), validation=10)
    questions = {q.id: q for q in (*splits.train, *splits.validation)}
    assert questions["gsm8k-train-1233"] == Question(
        "gsm8k-train-1233",
        "Tom had 1233 pens and got 2. He lost 1. How many?",
        "1234",
        rationale="Tom had 1233+2 = 1235 pens. He lost 1, so 1234 were left.",
    )
    assert (len(splits.train), len(splits.validation)) == (1290, 10)
    assert [q.id for q in splits.test] == [f"gsm8k-test-{i}" for i in range(5)]


def test_a_copy_of_the_hubs_repository_gives_the_same(tmp_path):
    import datasets

    plain, copy = published(tmp_path / "plain"), tmp_path / "copy"
    for name, shift in (("main", 0), ("socratic", 50)):
        for split, n in (("train", 30), ("test", 5)):
            part = copy / name / f"{split}-00000-of-00001.parquet"
            part.parent.mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_list([row(i + shift) for i in range(n)]).to_parquet(str(part))
    listed = "".join(
        f"- config_name: {name}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {name}/{split}-*\n" for split in ("train", "test"))
        for name in ("main", "socratic")
    )
    (copy / "README.md").write_text(f"---\nconfigs:\n{listed}---\n")
    assert load(copy, validation=3) == load(plain, validation=3)


def test_validation_is_a_tenth_of_train_drawn_by_the_seed(splits, folder):
    assert [len(getattr(splits, name)) for name in ("train", "validation", "test")] == [6726, 747, 1319]
    ids = {q.id for q in (*splits.train, *splits.validation)}
    assert ids == {f"gsm8k-train-{i}" for i in range(7473)}
    other = load(folder, seed=1)
    assert {q.id for q in other.validation} != {q.id for q in splits.validation}
    assert other.test == splits.test


def test_every_label_is_the_published_number_and_no_rationale_has_a_mark(splits, folder):
    published = {
        f"gsm8k-{name}-{i}": each for name in ("train", "test") for i, each in enumerate(rows(folder, name))
    }
    for question in (*splits.train, *splits.validation, *splits.test):
        number = re.fullmatch(r"(?s).*#### (-?[0-9,]+)", published[question.id]["answer"])[1]
        assert equations.value(question.label) == Fraction(number.replace(",", ""))
        assert not re.search("<<|>>|####", question.rationale)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_gold_answer_is_read_as_its_label(splits, folder, split):
    questions = {q.id: q for q in (*splits.train, *splits.validation, *splits.test)}
    wrong = []
    for i, each in enumerate(rows(folder, split)):
        question = questions[f"gsm8k-{split}-{i}"]
        parsed = TASK.parse(each["answer"], question)
        if parsed.answer != TASK.answer(question.label, question) or "<<" in parsed.rationale:
            wrong.append((i, parsed))
    assert wrong == []


@pytest.mark.slow
def test_recorded_answers_join_by_row_and_are_read(splits, folder):
    questions = {q.id: q for q in (*splits.train, *splits.validation)}
    teacher = RecordedTeacher(str(folder / "recorded_llama_gemini.jsonl"), prefix="gsm8k-train-")
    asked = [Request(q.id, q.id, i, TASK.prompt(q), 0) for q in questions.values() for i in range(4)]
    [samples] = teacher(asked)
    right, read = [0] * 4, [0] * 4
    for sample in samples:
        question = questions[sample.question_id]
        parsed = TASK.parse(sample.text, question)
        right[sample.index] += parsed.answer is not None and parsed.answer == TASK.answer(
            question.label, question
        )
        read[sample.index] += parsed.label is not None
    assert (right, read) == RECORDED


def test_the_prompts_examples_are_read_as_their_own_numbers():
    shots = TASK.prompt(Question("q", "How many?", "1"))
    assert len(shots.examples) == 6 and shots.system
    for text, answer in shots.examples:
        parsed = TASK.parse(answer, Question("q", text, "1"))
        assert parsed.label is not None and equations.value(parsed.label) == Fraction(parsed.label)
        for step in re.findall(r"((?:[0-9.]+ [*/+-] )+[0-9.]+) = ([0-9.]+)", answer):
            assert equations.value(step[0]) == equations.value(step[1])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "train.jsonl, line 2: not JSON"),
        ("[1]", "line 2: list; expected an object"),
        (
            '{"question": "how many?"}',
            "gsm8k-train-1: expected the texts `question` and `answer`, has question",
        ),
        (
            '{"question": "q", "answer": "it is 5"}',
            "gsm8k-train-1: the answer ends in 'it is 5'; expected `#### `",
        ),
        ('{"question": "q", "answer": "#### five"}', "ends in 'five'"),
    ],
)
def test_what_is_not_gsm8k_is_refused_with_its_place(tmp_path, line, said):
    folder = published(tmp_path)
    lines = (folder / "train.jsonl").read_text().splitlines()
    (folder / "train.jsonl").write_text("\n".join([lines[0], line, *lines[2:]]))
    with pytest.raises(DataError) as error:
        load(folder, validation=2)
    assert said in str(error.value)
