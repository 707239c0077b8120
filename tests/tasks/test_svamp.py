"""SVAMP from every source, and the real teacher answers against the figures of the data's SOURCES.md."""

import json
import re
import zipfile
from collections import Counter
from fractions import Fraction

import pytest

from qcrd import config
from qcrd.config.presets import PRESETS
from qcrd.errors import DataError
from qcrd.tasks import equations, get
from qcrd.types import Question

TASK = get("svamp")


def load(source, **settings):
    return TASK.load(config.Task(name="svamp", source=str(source), **settings))


@pytest.fixture(scope="module")
def archive(shared_data):
    return shared_data / "dss" / "datasets.zip"


@pytest.fixture(scope="module")
def splits(archive):
    return load(archive)


@pytest.fixture(scope="module")
def questions(splits):
    return {question.id: question for question in splits.train + splits.validation}


@pytest.fixture(scope="module")
def recorded(shared_data):
    with open(shared_data / "multi" / "svamp_palm_llama3.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def items(n):
    """Rows in the Hub's layout: row i asks for i + 1 - 1."""
    return [
        {
            "ID": f"chal-{i + 1}",
            "Body": f"Tom had {i + 1} apples.  He ate 1.",
            "Question": "How many are left?",
            "Equation": f"( {i + 1}.0 - 1.0 )",
            "Answer": str(float(i)),
            "Type": "Subtraction",
        }
        for i in range(n)
    ]


def test_the_archive_gives_the_papers_sizes_and_normal_forms(splits):
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [720, 80, 200]
    for question in splits.train + splits.validation + splits.test:
        assert "\n" not in question.text
        assert question.label == equations.normal(question.label)
        assert TASK.answer(question.label, question) is not None


def test_an_id_keeps_the_row_of_the_archive(questions, recorded):
    assert sorted(questions) == sorted(f"svamp-train-{row}" for row in range(800))
    for row in recorded:
        question = questions[f"svamp-train-{row['id']}"]
        assert question.text == " ".join(row["question"].split())
        assert question.label == equations.normal(row["gold_label"])


def test_the_unpacked_folder_gives_the_same_also_through_the_environment(
    archive, splits, tmp_path, monkeypatch
):
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(
            tmp_path, [name for name in packed.namelist() if name.startswith("datasets/svamp/")]
        )
    monkeypatch.setenv("SVAMP_FOLDER", str(tmp_path))
    assert load("$SVAMP_FOLDER/datasets") == splits
    assert load(tmp_path / "datasets" / "svamp") == splits


def test_the_hubs_layout_is_dealt_into_the_archives_rows(archive, splits, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with zipfile.ZipFile(archive) as packed:
        rows = json.loads(packed.read("datasets/svamp/SVAMP.json"))
    for name, part in (("train", rows[::3] + rows[1::3]), ("test", rows[2::3])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)), encoding="utf-8")
    assert load(tmp_path) == splits


def test_a_small_folder_in_the_hubs_layout_loads_through_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, items(10))), encoding="utf-8")
    splits = load(tmp_path, validation=2)
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [6, 2, 2]
    by_text = {q.text: q.label for q in splits.train + splits.validation + splits.test}
    assert by_text["Tom had 7 apples. He ate 1. How many are left?"] == "( 7 - 1 )"


def test_the_seed_deals_train_and_validation_but_not_test(archive, splits):
    other = load(archive, seed=1)
    assert set(other.validation) != set(splits.validation)
    assert set(other.train + other.validation) == set(splits.train + splits.validation)
    assert other.test == splits.test


def test_smaller_training_sets_are_parts_of_larger_ones(archive, splits):
    smaller = load(archive, train=100, test=50)
    assert smaller.train == splits.train[:100]
    assert (smaller.validation, smaller.test) == (splits.validation, splits.test[:50])


def test_more_than_there_is_is_refused(archive):
    with pytest.raises(DataError, match=r"task.train: 721 questions.*720 left"):
        load(archive, train=721)


def test_sizes_of_a_preset_for_another_data_set_are_named_with_what_to_set(archive):
    sizes = PRESETS["embedded"]["task"]
    sizes = {name: sizes[name] for name in ("train", "validation", "test")}
    with pytest.raises(DataError, match=r"400 left.*its preset's.*task.train, task.validation and task.test"):
        load(archive, **sizes)
    own = load(archive, **dict.fromkeys(sizes))
    assert [len(own.train), len(own.validation), len(own.test)] == [720, 80, 200]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/nowhere/datasets.zip", "no folder, zip or Hub id"),
        ("$UNSET_FOR_THIS_TEST/datasets.zip", "task.source: .*variable UNSET_FOR_THIS_TEST is not set"),
    ],
)
def test_an_absent_source_is_named(source, message, monkeypatch):
    monkeypatch.delenv("UNSET_FOR_THIS_TEST", raising=False)
    with pytest.raises(DataError, match=message):
        load(source)


def test_a_file_in_another_form_is_named(tmp_path):
    (tmp_path / "svamp_test.json").write_text('{"input": "a", "label": "1"}\n')
    (tmp_path / "svamp_train.json").write_text('{"question": "a"}\n')
    with pytest.raises(DataError, match=r"svamp_train.json.*line 1: no `input` \(str\)"):
        load(tmp_path)
    (tmp_path / "svamp_train.json").write_text('{"input": "a", "label": "some"}\n')
    with pytest.raises(DataError, match="svamp-train-0: 'some' is not an equation"):
        load(tmp_path)


def test_the_prompts_own_examples_are_right_and_read_back_and_in_no_split(splits):
    prompt = TASK.prompt(splits.train[0])
    assert prompt.text.endswith(f"\n\nQ: {splits.train[0].text}\nA:")
    assert len(prompt.examples) == 6
    known = {question.text for question in splits.train + splits.validation + splits.test}
    for asked, answered in prompt.examples:
        assert asked not in known
        parsed = TASK.parse(answered, splits.train[0])
        assert parsed.reason is None
        assert Fraction(parsed.answer) == int(re.findall(r"= (\d+)", parsed.rationale)[-1])


@pytest.mark.parametrize(
    ("text", "rationale", "label"),
    [
        (" 84 / 2 = 42. So, Luke scored 42 points.", "84 / 2 = 42. So, Luke scored 42 points.", "42"),
        (" 369 feet", None, "369"),
        (" 92.0 / 46.0", None, "( 92 / 46 )"),
    ],
)
def test_an_answer_without_a_cue_is_read_by_its_last_number(text, rationale, label, questions):
    parsed = TASK.parse(text, questions["svamp-train-0"])
    assert (parsed.rationale, parsed.label, parsed.reason) == (rationale, label, None)


def test_a_cut_off_answer_without_a_cue_is_not_read(questions):
    question = questions["svamp-train-0"]
    assert TASK.parse("He has 12 and adds 5. " * 10 + "So he adds 5", question).reason == "no cue"
    assert TASK.parse("He has 12.", question, "length").reason == "truncated"


def outcome(task, parsed, question):
    return parsed.reason or ("right" if parsed.answer == task.answer(question.label, question) else "wrong")


def test_palm_alone_is_read_with_the_known_figures(questions, recorded):
    """595 right, 174 wrong, 19 no equation, 3 cut off, 9 without a cue.

    SOURCES.md says 588, 179, 20 (no arithmetic), 13 (no label) from DSS's reading: the outermost brackets
    after the cue, signs ignored. The differences:
    - `(16 * 17) * 4` is read whole here: nine rows become right (5, 38, 278, 337, 420, 463, 593, 601, 775)
      and one wrong (42);
    - an answer of the wrong sign is wrong: two rows (586, 786);
    - labels cut off within their brackets are counted as such: 174, 319, 358;
    - two finished answers without a cue are read by their last number: 796 (right) and 798 (wrong).
    """
    counts = Counter()
    for row in recorded:
        question = questions[f"svamp-train-{row['id']}"]
        counts[outcome(TASK, TASK.parse(row["samples"][0], question), question)] += 1
    assert counts == {"right": 595, "wrong": 174, "not an equation": 19, "truncated": 3, "no cue": 9}


def figures(recorded, questions, read):
    """Right out of four, counted over questions, and the vote's outcomes; `read` gives a sample's value."""
    right, vote = Counter(), Counter()
    for row in recorded:
        gold = equations.value(questions[f"svamp-train-{row['id']}"].label)
        values = [
            read(text, source) for text, source in zip(row["samples"], row["sample_sources"], strict=True)
        ]
        right[sum(value == gold for value in values)] += 1
        ranked = Counter(value for value in values if value is not None).most_common()
        if not ranked:
            vote["unread"] += 1
            continue
        (first, votes), *others = ranked
        tie = bool(others) and others[0][1] == votes
        vote["tie" if tie else "right" if first == gold else "wrong"] += 1
    return [right[n] for n in range(5)], dict(vote)


@pytest.mark.slow
def test_the_four_recorded_answers_are_read_with_the_known_figures(questions, recorded):
    """SOURCES.md says 64, 84, 112, 176, 364 and 626 right, 84 wrong, 90 ties; the next test says why.

    And two answers of Llama with a variable in them (`8 - y`, `3 + x + 10`: rows 258 and 773) give no number.
    """

    def read(text, source):
        answer = TASK.parse(text, questions["svamp-train-0"]).answer
        return None if answer is None else Fraction(answer)

    right, vote = figures(recorded, questions, read)
    assert right == [64, 81, 115, 171, 369]
    assert vote == {"right": 631, "wrong": 78, "tie": 90, "unread": 1}


def test_the_figures_of_sources_md_come_from_a_coarser_reading(questions, recorded):
    """With it the counts out of four are exactly SOURCES.md's, and the vote differs in one tie (627, 84, 89).

    PaLM as DSS reads it (above); Llama's answer is the first equation after a cue where no `=` follows, else
    the last number of the text; signs are ignored. What this task reads otherwise, besides PaLM's rows:
    equations with a wrong result beside them (`22 * 569 = 12538` counts as the equation), equations without a
    cue (`92.0 / 46.0`), two answers in one (`1 cracker and 1 cake`: none), signs, and answers that were cut
    off before they gave one (none), whose last number is sometimes right by luck.
    """

    def number(text):
        numbers = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
        return Fraction(numbers[-1].replace(",", "")) if numbers else None

    def read(text, source):
        if source == "palm":
            parts = text.split("Q:")[0].split("The answer is")
            label = re.search(r"\(.*\)", parts[1]) if len(parts) == 2 else None
            value = equations.value(label[0]) if label else None
        else:
            cue = re.search(r"answer is:?|answer:", text, re.IGNORECASE)
            rest = text[cue.end() :] if cue else ""
            found = next(equations.every(rest), None) if "=" not in rest else None
            value = found[0].value if found else number(rest or text)
        return None if value is None else abs(value)

    palm = Counter()
    for row in recorded:
        value = read(row["samples"][0], "palm")
        palm[value == equations.value(questions[f"svamp-train-{row['id']}"].label)] += 1
    assert palm[True] == 588
    right, vote = figures(recorded, questions, read)
    assert right == [64, 84, 112, 176, 364]
    assert vote == {"right": 627, "wrong": 84, "tie": 89}


@pytest.mark.slow
def test_rationales_of_recorded_answers_hold_no_cue_and_no_next_question(questions, recorded):
    for row in recorded:
        for text in row["samples"]:
            rationale = TASK.parse(text, questions["svamp-train-0"]).rationale
            assert rationale is None or not re.search(
                r"the answer is|\nQ:|^Rationale:", rationale, re.IGNORECASE
            )


@pytest.mark.parametrize(
    "hostile",
    ["9**9**9", "exec(1)", "__import__(0)", "(" * 10_000, "8 - " * 2500, "(1+" * 3000 + "1" + ")" * 3000,
     "-" * 10_000, "((8 -" * 2000, "٣ - ١", "1e999", "x" * 10_000],
)  # fmt: skip
def test_hostile_answers_are_wrong_and_cost_a_bounded_number_of_readings(hostile, monkeypatch):
    readings = []
    read = equations._read
    monkeypatch.setattr(equations, "_read", lambda *a: readings.append(a) or read(*a))
    question = Question("q", "?", "( 8 - 3 )")
    assert not TASK.correct(hostile, question)
    for text in (hostile, f"So the answer is {hostile}"):
        assert TASK.parse(text, question).answer != "5"
    assert len(readings) < 300
