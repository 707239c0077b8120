"""The layouts of docs/own-data.md: its rows in the files that it names, read by its YAML."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from qcrd import config, tasks

DOC = Path(__file__).parents[3] / "docs" / "own-data.md"
SECTION = re.compile(
    r"^### (\w+)\n\n(.*?)\n\n```json\n(.*?)\n```\n\n```yaml\n(.*?)\n```", re.DOTALL | re.MULTILINE
)
LAYOUTS = {name: parts for name, *parts in SECTION.findall(DOC.read_text(encoding="utf-8"))}
COPIES = 6  # of the rows in each file

FOUND = {
    "ARC": [
        ("What burns?\nAnswer Choices:\n(a) glass\n(b) wood\n(c) air\n(d) salt", "wood", ()),
        ("What melts in warm water?\nAnswer Choices:\n(a) ice\n(b) iron\n(c) sand", "ice", ()),
    ],
    "MMLU": [
        ("What is 4! ?\nAnswer Choices:\n(a) 8\n(b) 2\n(c) 24\n(d) 120", "24", ()),
        ("What is 5 - 3 ?\nAnswer Choices:\n(a) 2\n(b) 8\n(c) 1\n(d) 0", "2", ()),
    ],
    "SQuAD": [("The Nile flows north.\nWhere does it flow?", "north", ("to the north",))],
    "GSM8K": [("Ann has 3 boxes of 4 pens and loses 2 pens. How many are left?", "10", ())],
    "ASDiv": [
        (
            "Seven red apples and two green apples are in the basket.\nHow many apples are in the basket?",
            "( 7 + 2 )",
            (),
        )
    ],
}
RATIONALES = {"GSM8K": {"She had 3*4=12 pens. Now she has 12-2=10."}}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def load(name, folder, **changes):
    files, lines, text = LAYOUTS[name]
    rows = [json.loads(line) for line in lines.splitlines()]
    first = Path(re.search(r"`([^`]+/?[^`]+\.(?:parquet|jsonl))`", files)[1])
    names = [first.name]
    if first.parent != Path("."):
        named = re.match(r"[a-z_]+", first.name)[0]
        splits = [
            word for word in ("validation", "test") if re.search(rf"`(?:{word}`|[^`]*/{word}\.)", files)
        ]
        names += [first.name.replace(named, split, 1) for split in splits]
    for part, file in enumerate(names):
        copies = [
            {**row, **({"id": f"{row['id']}-{part}-{i}"} if "id" in row else {})}
            for i in range(COPIES)
            for row in rows
        ]
        write(folder / first.parent / file, copies)
    section = yaml.safe_load(text)["task"]
    section = config.Task.model_validate({**section, "source": str(folder / section["source"])} | changes)
    task = tasks.of(section)
    return task, task.load(section), len(names)


def test_the_page_has_the_layouts():
    assert list(LAYOUTS) == list(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_a_layout_is_read_as_the_page_says(tmp_path, name):
    task, splits, files = load(name, tmp_path)
    questions = (*splits.train, *splits.validation, *splits.test)
    assert len(questions) == files * COPIES * len(FOUND[name])
    assert {(q.text, q.label, q.also) for q in questions} == set(FOUND[name])
    assert {q.rationale for q in questions} == RATIONALES.get(name, {None})
    for q in questions:
        for right in (q.label, *q.also):
            assert task.correct(right, q)
            assert task.parse(task.target("Because.", right), q).answer == task.answer(q.label, q)


def test_the_answer_of_asdiv_is_the_number_before_its_unit(tmp_path):
    own = {"question": ["Body", "Question"], "label": "Answer", "label_before": "(", "kind": "equation"}
    _, splits, _ = load("ASDiv", tmp_path, own=own)
    assert {q.label for q in splits.train} == {"9"}


@pytest.mark.slow
def test_all_gold_answers_of_the_real_gsm8k_are_read(shared_data):
    section = yaml.safe_load(LAYOUTS["GSM8K"][2])["task"]
    if not (shared_data / "gsm8k" / "test.jsonl").is_file():
        pytest.skip(f"GSM8K is not in {shared_data}")
    section = config.Task.model_validate({**section, "source": str(shared_data / "gsm8k")})
    splits = tasks.of(section).load(section)
    assert len(splits.train) + len(splits.validation) == 7473 and len(splits.test) == 1319
    lines = (shared_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    said = [json.loads(line)["answer"].rpartition("#### ")[2].replace(",", "") for line in lines]
    assert [q.label for q in splits.test] == said
    assert not any("<<" in q.rationale or "####" in q.rationale for q in splits.test)
