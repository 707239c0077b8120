"""Exported folders: plain transformers and peft load them, and they answer as in the evaluation."""

import copy
import json
import os
import re

import pytest
import yaml
from causal_models import TOKENIZER, causal_student
from small import SHAPE
from small_cells import TASK, fill, make_cell

from qcrd import config
from qcrd.cell.finished import FinishedCell
from qcrd.cell.run import run_cell
from qcrd.errors import DataError, StoreError
from qcrd.export.student import export
from qcrd.storage.home import Home

LLAMA = config.Architecture(family="llama", d_model=16, d_kv=8, d_ff=32, layers=2, heads=2, kv_heads=1)
LORA = config.Adapter(r=4, alpha=16.0)
STUDENTS = {
    "t5": {"architecture": SHAPE},
    "llama": {"architecture": LLAMA},
    "lora": {"architecture": LLAMA, "adapter": LORA},
    "sequence": {"architecture": LLAMA, "targets": "sequence"},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home, make_cell(home))
    return home


@pytest.fixture(scope="module")
def finished(home):
    """Finished cells by the name of their student, trained when they are first asked for."""
    cells = {}

    def find(name, **changes):
        key = (name, str(changes))
        if key not in cells:
            # Questions of arithmetic have some 40 tokens: the longest are cut.
            section = config.Student(
                **STUDENTS[name] | {"max_input": 40, "max_rationale": 24, "max_label": 12} | changes
            )
            training = config.Training(steps=60, batch=8, lr=1e-2, evaluate_every=60)
            method = "dss" if name != "sequence" else "morsd"
            cell = make_cell(home, method, student=section, training=training)
            cells[key] = FinishedCell.find(home, run_cell(cell, f"{method} {name}", home).id)
        return cells[key]

    return find


def card(folder):
    """Front matter and text of a model card."""
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def run_code(folder, monkeypatch):
    """What the card's code defines."""
    (code,) = re.findall(r"```python\n(.*?)```", card(folder)[1], re.DOTALL)
    monkeypatch.chdir(folder)
    names = {}
    exec(code.replace("print(", "answer = ("), names)  # noqa: S102 - what a reader would do
    return names


@pytest.mark.parametrize("name, merged", [("t5", False), ("llama", False), ("lora", False), ("lora", True)])
def test_an_exported_student_answers_as_it_was_evaluated(finished, home, tmp_path, monkeypatch, name, merged):
    ended = finished(name)
    out = tmp_path / "out"
    export(ended, home, out, merged)
    files = {f.name for f in out.iterdir()}
    weights = "adapter_model.safetensors" if name == "lora" and not merged else "model.safetensors"
    assert {weights, "tokenizer.json", "generation_config.json", "README.md"} <= files
    assert ("adapter_config.json" in files) == (name == "lora" and not merged)
    found = run_code(out, monkeypatch)
    rows = json.loads((ended.folder / "predictions.json").read_text())["test"]
    asked = [found["ask"](question.text) for question in ended.cell.splits.test]
    assert asked == [row["text"] for row in rows]
    assert len(set(asked)) > 1, "the case must have a student that read its questions"
    assert found["answer"] == asked[0]
    assert found["explain"](ended.cell.splits.test[0].text)


def test_a_student_of_sequences_writes_them(finished, home, tmp_path, monkeypatch):
    ended = finished("sequence")
    export(ended, home, tmp_path / "out")
    found = run_code(tmp_path / "out", monkeypatch)
    rows = json.loads((ended.folder / "predictions.json").read_text())["test"]
    assert [found["ask"](question.text) for question in ended.cell.splits.test] == [r["text"] for r in rows]
    assert "explain" not in found


@pytest.mark.parametrize("opening", ["assistant : ", "assistant : 1 "])
def test_a_student_that_was_asked_in_a_chat_is_asked_so(home, tmp_path, monkeypatch, opening):
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}OPENING{% else %}{{ 'user : ' }}{% endif %}"
        "{{ m['content'] + '</s>' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
    ).replace("OPENING", f"{{{{ '{opening}' }}}}")
    place = tmp_path / "base"
    causal_student("llama").save(place)
    tokenizer.save_pretrained(place)
    section = config.Student(
        checkpoint=str(place), prompt="chat", max_input=64, max_rationale=24, max_label=12
    )
    training = config.Training(steps=30, batch=8, lr=1e-2, evaluate_every=30)
    cell = make_cell(home, "dss", student=section, training=training)
    ended = FinishedCell.find(home, run_cell(cell, "chat", home).id)
    export(ended, home, tmp_path / "out")
    text = card(tmp_path / "out")[1]
    assert ("apply_chat_template" in text) == (opening == "assistant : "), "it opens an answer as it trained"
    found = run_code(tmp_path / "out", monkeypatch)
    assert found["tokenizer"].chat_template == tokenizer.chat_template
    rows = json.loads((ended.folder / "predictions.json").read_text())["test"]
    asked = [found["ask"](question.text) for question in ended.cell.splits.test]
    assert asked == [row["text"] for row in rows] and len(set(asked)) > 1
    assert "the folder base" in text and str(place) not in text


def test_the_generation_config_alone_gives_the_evaluations_answers(finished, home, tmp_path):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    ended = finished("t5")
    export(ended, home, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    rows = json.loads((ended.folder / "predictions.json").read_text())["test"]
    for question, row in zip(ended.cell.splits.test, rows, strict=True):
        text = f"predict: {question.text}"
        written = model.generate(**tokenizer(text, return_tensors="pt", truncation=True, max_length=40))[0]
        assert tokenizer.decode(written, skip_special_tokens=True).strip() == row["text"]


def test_the_card_says_what_the_student_is(finished, home, tmp_path):
    ended = finished("lora")
    export(ended, home, tmp_path / "out")
    front, text = card(tmp_path / "out")
    assert (front["library_name"], front["license"]) == ("peft", "unknown")
    assert "base_model" not in front and "datasets" not in front, "random weights and generated data"
    assert front["qcrd"] == {
        "cell": ended.id,
        "version": ended.record.versions["qcrd"],
        "base": "random weights",
        "base_commit": None,
        "base_license": "unknown",
        "data_license": "apache-2.0",
    }
    accuracy = ended.record.accuracy["test"]
    assert f"| test, at the chosen step | {accuracy:.1f}% |" in text and f"| {TASK.test} |" in text
    for part in (
        "student.adapter.r: 4",
        "training.steps: 60",
        ended.id,
        "recorded answers; 1 answers",
        "gold" if not ended.cell.from_teacher else "the teacher's",
    ):
        assert part in text
    assert str(home.root) not in text


def test_a_base_of_the_hub_is_named_with_its_commit_and_licence(finished, home, tmp_path):
    from dataclasses import replace

    from qcrd.cell.base import base_of
    from qcrd.export import licences

    section = config.Student(checkpoint="Qwen/Qwen3-0.6B", revision="main", adapter=LORA)
    base = base_of(section, {"student_commit": "0123abc"})
    assert (base.kind, base.model, base.commit) == ("hub", "Qwen/Qwen3-0.6B", "0123abc")
    assert licences.of_base(base) == "apache-2.0"
    assert licences.of_base(replace(base, name="someone/else")) == "unknown"
    packaged = base_of(config.Student(checkpoint="smollm2-135m"), {})
    assert (packaged.kind, licences.of_base(packaged)) == ("packaged", "apache-2.0")
    assert licences.datasets(config.Task(name="gsm8k")) == ["openai/gsm8k"]


def test_the_hubs_ids_are_those_that_the_tasks_load():
    from qcrd import tasks
    from qcrd.export.licences import _DATA
    from qcrd.tasks import cqa, gsm8k, svamp

    hubs = {"svamp": svamp.HUB, "gsm8k": gsm8k.HUB, "cqa": cqa.LAYOUT.hub}
    hubs |= {"anli1": tasks.get("anli1").layout.hub, "esnli": tasks.get("esnli").layout.hub}
    assert {name: hub.id for name, hub in hubs.items()} == {name: hub for name, (hub, _) in _DATA.items()}


def test_a_folder_with_something_in_it_is_left_alone(finished, home, tmp_path):
    ended, out = finished("t5"), tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="is not empty; name another folder, or add --overwrite"):
        export(ended, home, out)
    with pytest.raises(StoreError, match="holds something else than an earlier export"):
        export(ended, home, out, overwrite=True)
    (out / "thesis.txt").unlink()
    export(ended, home, out)
    (out / "note.txt").touch()
    export(ended, home, out, overwrite=True)
    assert not (out / "note.txt").exists() and (out / "model.safetensors").exists()
    assert os.listdir(tmp_path) == ["out"]


def test_what_fails_on_the_way_leaves_nothing_behind(finished, home, tmp_path, monkeypatch):
    from qcrd.export import card as cards

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cards, "text", broken)
    with pytest.raises(StoreError, match="free some space"):
        export(finished("t5"), home, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_student_that_was_not_kept_is_said_with_what_keeps_it(home, tmp_path):
    record = run_cell(make_cell(home, "finetuning", "gold", seed=3), "cell", home, keep_student=False)
    with pytest.raises(
        DataError, match=r"resources.keep_students: true.*qcrd train GRID --cell " + record.id
    ):
        export(FinishedCell.find(home, record.id), home, tmp_path / "out")
