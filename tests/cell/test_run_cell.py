"""One cell from its settings to its record, with a teacher whose right and wrong answers are known."""

import json
import shutil
import statistics
from dataclasses import asdict, replace

import pytest
import torch
from daily import product, some
from safetensors.torch import load_file
from small import SHAPE
from small_cells import SILENT, TASK, Killed, M, elsewhere, fill, make_cell
from transformers import T5ForConditionalGeneration

from qcrd import config, tasks
from qcrd.cell import record
from qcrd.cell.answers import sample_store
from qcrd.cell.data import TaskData
from qcrd.cell.preparation import prepare
from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.cell.run import run_cell
from qcrd.errors import DataError
from qcrd.methods import METHODS
from qcrd.storage import journal as journals
from qcrd.storage.home import Home
from qcrd.student.load import load_student
from qcrd.student.tokenizer import load_tokenizer
from qcrd.tasks.arithmetic import Arithmetic
from qcrd.tracking.mlflow.audit import MEASURED
from qcrd.training import trainer

MOMENTS = ["in the middle", "before the record is written"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home, make_cell(home))
    return home


@pytest.mark.parametrize("method, labels", product(METHODS, ["gold", "teacher"]))
def test_a_cell_leaves_a_record_predictions_a_student_and_its_journal(home, method, labels):
    reports = []
    cell = make_cell(home, method, labels)
    record = run_cell(cell, f"{method} {labels}", home, report=lambda p: reports.append(p.step))
    folder = home.cell(record.id)
    assert (record.status, record.message) == ("done", "")
    assert reports[-1] == 12
    assert record.chosen_step in (4, 8, 12)
    assert set(record.accuracy) == {"validation", "test", "test_last", "test_best"}
    assert record.settings == cell.settings.model_dump(mode="json")
    assert home.record(record.id) == record

    stored = json.loads((folder / "predictions.json").read_text())
    assert stored["step"] == record.chosen_step
    assert len(stored["test"]) == TASK.test
    right = sum(p["correct"] for p in stored["test"])
    assert record.accuracy["test"] == pytest.approx(100 * right / TASK.test)
    T5ForConditionalGeneration.from_pretrained(folder / "student")

    events = journals.read(folder / "journal.jsonl")
    assert [e.status for e in events if isinstance(e, journals.Status)] == ["running", "done"]
    kept = [e.path for e in events if isinstance(e, journals.Artifact)]
    assert "predictions.json" in kept
    assert all((folder / path).is_file() for path in kept)
    left = {f.name for f in folder.iterdir()}
    assert not [name for name in left if name.endswith((".safetensors", ".tmp"))]

    reports.clear()
    again = run_cell(cell, "another name", home, report=lambda p: reports.append(p.step))
    assert (again, reports) == (record, [])


def test_the_statistics_count_the_question_that_nobody_answered(home):
    for labels in ("gold", "teacher"):
        prepared = prepare(make_cell(home, labels=labels), home)
        silent = f"arithmetic-train-{SILENT}"
        assert (silent in [q.id for q in prepared.questions]) == (labels == "gold")
        assert all(group.label for group in prepared.sets)
        assert [q.id for q in prepared.questions] == [group.question_id for group in prepared.sets]
        assert len(prepared.test) == TASK.test
    names = {name.rsplit("/", 1)[-1]: value for name, value in prepared.statistics.items()}
    assert names["questions"] == TASK.train
    assert names["samples"] == TASK.train * M
    assert names["without_label"] == 1
    assert names["without_positive"] >= 1


class Spoiled(Arithmetic):
    """The same questions, but nothing that is gold in what a student may learn or be chosen by."""

    name = "spoiled"

    def load(self, section):
        splits = super().load(section)
        nonsense = {"label": "no label at all", "rationale": "no rationale either"}
        return replace(
            splits,
            train=tuple(replace(q, **nonsense) for q in splits.train),
            validation=tuple(replace(q, **nonsense) for q in splits.validation),
        )


@pytest.mark.parametrize("method", some(list(METHODS), ["qcrd"]))
def test_with_the_teachers_labels_no_gold_reaches_training_or_the_choice_of_the_step(
    home, tmp_path, monkeypatch, method
):
    monkeypatch.setitem(tasks.TASKS, "spoiled", Spoiled())
    spoiled_home = elsewhere(home, tmp_path / "home")
    task = TASK.model_copy(update={"name": "spoiled"})
    plain = run_cell(make_cell(home, method), "plain", home)
    spoiled = run_cell(make_cell(spoiled_home, method, task=task), "spoiled", spoiled_home)
    assert spoiled.id != plain.id
    first, second = home.cell(plain.id), spoiled_home.cell(spoiled.id)
    assert (first / "predictions.json").read_bytes() == (second / "predictions.json").read_bytes()
    assert spoiled.chosen_step == plain.chosen_step
    weights = [load_file(f / "student" / "model.safetensors") for f in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_methods_that_need_no_teacher_run_without_samples(tmp_path):
    empty = Home(tmp_path)
    cell = make_cell(empty, "finetuning", "gold")
    assert run_cell(cell, "finetuning", empty, keep_student=False).status == "done"
    assert not empty.samples.exists()


def test_another_cells_student_measures_the_difficulty(home):
    writer = run_cell(make_cell(home, "single_task"), "writer", home)
    folder = home.cell(writer.id) / "student"
    section = config.Selection(n=1, measured_by=str(folder))
    record = run_cell(make_cell(home, "morsd", selection=section), "measured", home, keep_student=False)
    assert record.status == "done"
    assert "content" in record.identity["selection"]["measured_by"]
    events = journals.read(home.cell(record.id) / "journal.jsonl")
    found = [e.values["selection/rd"] for e in events if "selection/rd" in getattr(e, "values", {})]
    assert len(found) == 1, "the other model is asked once"


def test_answers_that_nobody_can_read_are_refused_with_what_to_do(tmp_path):
    home = Home(tmp_path)
    cell = make_cell(home)
    fill(home, cell, babble=True)
    with pytest.raises(DataError, match=r"no training question.*label.*qcrd samples"):
        run_cell(cell, "babble", home)
    folder = home.cell(cell.id)
    assert journals.read(folder / "journal.jsonl")[-1].status == "failed"
    assert "DataError" in (folder / "error.txt").read_text()
    assert home.record(folder.name) is None


def test_samples_that_were_never_drawn_are_refused_with_what_to_do(tmp_path):
    home = Home(tmp_path)
    cell = make_cell(home)
    with pytest.raises(DataError, match=r"lacks 128 of the 128 samples for the train split.*qcrd run"):
        prepare(cell, home)
    fill(home, cell, splits=["train"])
    with pytest.raises(DataError, match="validation split"):
        prepare(cell, home)


def test_too_few_samples_are_refused_unless_they_are_all_that_was_recorded(tmp_path, monkeypatch):
    home = Home(tmp_path)
    cell = make_cell(home)
    fill(home, cell, m=M - 1)
    assert prepare(cell, home).statistics["teacher/missing"] == TASK.train
    monkeypatch.setattr(ResolvedCell, "sampler", {"engine": "vllm", "model": "fake"})
    sampled = resolve(cell.settings.model_copy(update={"teacher": config.Teacher(model="fake")}))
    fill(home, sampled, m=M - 1)
    with pytest.raises(DataError, match=r"lacks 32 of the 128 samples for the train split.*qcrd run"):
        prepare(sampled, home)


def test_a_cell_reads_its_first_m_samples_however_many_are_stored(home, tmp_path):
    small = Home(tmp_path)
    few = make_cell(small, rationales=config.Rationales(labels="teacher", m=2))
    fill(small, few, m=2)
    many = make_cell(home, rationales=config.Rationales(labels="teacher", m=2))
    assert [asdict(s) for s in prepare(few, small).sets] == [asdict(s) for s in prepare(many, home).sets]


def undisturbed_and_killed(home, tmp_path, monkeypatch, kill):
    """Records and folders of a cell left alone, and of one that died in `kill` and was run again."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "CHECKPOINT_SHARE", float("inf"))
    records, folders = [], []
    for name in ("left alone", "killed"):
        place = elsewhere(home, tmp_path / name.replace(" ", "-"))
        cell = make_cell(place)
        if name == "killed":
            with monkeypatch.context() as patch, pytest.raises(Killed):
                run_cell(cell, "cell", place, report=kill(patch) or (lambda progress: None))
        records.append(run_cell(cell, "cell", place))
        folders.append(place.cell(records[-1].id))
    return records, folders


@pytest.mark.parametrize("moment", some(MOMENTS, MOMENTS[:1]))
def test_a_killed_cell_ends_as_one_that_was_left_alone(home, tmp_path, monkeypatch, moment):
    def kill(patch):
        if moment == "in the middle":

            def report(progress):
                if progress.step == 10:
                    raise Killed

            return report

        def write(path, value, write=record.write_sealed):
            if path.name == "record.json":
                raise Killed
            write(path, value)

        patch.setattr(record, "write_sealed", write)
        return None

    records, folders = undisturbed_and_killed(home, tmp_path, monkeypatch, kill)
    alone, killed = (asdict(r) | {"seconds": 0, "peak_bytes": 0, "settings": 0} for r in records)
    assert killed == alone
    assert alone["chosen_step"] < 8, "the case must choose a step before the last checkpoint"
    for file in ("predictions.json", "student/model.safetensors"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()
    metrics = [
        [
            (e.step, {k: v for k, v in e.values.items() if not k.startswith(MEASURED)})
            for e in journals.read(folder / "journal.jsonl")
            if isinstance(e, journals.Metrics)
        ]
        for folder in folders
    ]
    assert str(metrics[0]) == str(metrics[1])
    assert {f.name for f in folders[0].iterdir()} == {f.name for f in folders[1].iterdir()}


def test_what_a_kill_left_half_written_is_cleared_away(home):
    cell = make_cell(home, "finetuning", seed=5)
    folder = home.cell(cell.id)
    folder.mkdir(parents=True)
    (folder / ".student.safetensors.0123abcd.tmp").write_bytes(b"half")
    run_cell(cell, "cell", home)
    assert not list(folder.glob(".*.tmp"))


def test_a_diverged_cell_has_a_record_that_says_where(home, monkeypatch):
    cell = make_cell(home, "dss", training=config.Training(steps=12, batch=8, lr=1e30, clip=None))
    record = run_cell(cell, "wild", home)
    assert record.status == "diverged"
    assert "loss is not finite at step" in record.message
    assert "arithmetic-train-" in record.message
    folder = home.cell(record.id)
    assert journals.read(folder / "journal.jsonl")[-1].status == "diverged"
    where = json.loads((folder / "diverged.json").read_text())
    assert f"step {where['step']} " in record.message
    assert len(where["questions"]) == cell.settings.training.batch
    assert not list(folder.glob("*.safetensors"))
    assert run_cell(cell, "wild", home) == record


def run_and_note(root, diary):
    """What a second job does: the same cell, noting its reports."""
    home = Home(root)
    with open(diary, "a") as file:
        run_cell(
            make_cell(home, "finetuning", seed=9), "cell", home, report=lambda p: file.write(f"{p.step}\n")
        )


def test_two_processes_on_one_cell_train_it_once(home, tmp_path, forked):
    other = forked.Process(target=run_and_note, args=(home.root, tmp_path / "b"))
    other.start()
    run_and_note(home.root, tmp_path / "a")
    other.join(120)
    assert other.exitcode == 0
    notes = (tmp_path / "a").read_text().split() + (tmp_path / "b").read_text().split()
    assert notes == ["4", "8", "10", "12"]


def test_lengths_and_what_is_cut_are_reported_and_much_of_it_is_warned_of(home, caplog):
    section = config.Student(
        architecture=SHAPE, precision="fp32", max_input=24, max_rationale=24, max_label=12
    )
    cell = make_cell(home, "finetuning", student=section)
    cut = run_cell(cell, "cut", home).statistics
    tokenizer = load_tokenizer(section)
    counts = [len(tokenizer(f"explain: {q.text}")["input_ids"]) for q in prepare(cell, home).questions]
    assert cut["student/cut_inputs"] == 100 * sum(n > 24 for n in counts) / len(counts)
    assert 1 < cut["student/cut_inputs"] < 100
    assert cut["student/longest_inputs"] == max(counts)
    assert cut["student/median_inputs"] == statistics.median(counts)
    said = [r.message for r in caplog.records if "are cut at" in r.message]
    assert len(said) == 1 and "of the inputs are cut at student.max_input = 24 tokens" in said[0]

    caplog.clear()
    whole = run_cell(make_cell(home, "finetuning"), "whole", home).statistics
    assert whole["student/cut_inputs"] == whole["student/cut_labels"] == 0
    assert 0 < whole["student/median_labels"] <= whole["student/longest_labels"] <= 12
    assert "are cut at" not in caplog.text
    assert "student/cut_positives" not in whole, "finetuning learns no rationales"


def test_the_commit_of_a_hub_checkpoint_is_kept_with_the_versions(home, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--someone--tiny-t5"
    load_student(make_cell(home).settings.student, 0, torch.device("cpu")).save(cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    plain = make_cell(home, "finetuning")
    section = plain.settings.student.model_copy(update={"checkpoint": "someone/tiny-t5"})
    record = run_cell(make_cell(home, "finetuning", student=section), "hub", home)
    assert record.versions["student_commit"] == commit
    assert record.identity["student"]["model"] == {"hub": "someone/tiny-t5", "revision": None}
    assert "student_commit" not in run_cell(plain, "whole", home).versions


def test_the_commits_of_discriminator_teacher_and_data_are_kept_too(home, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--someone--tiny-t5"
    load_student(make_cell(home).settings.student, 0, torch.device("cpu")).save(cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(TaskData, "commit", "of the data")
    own = Home(tmp_path / "home")
    shutil.copytree(home.samples, own.samples)
    cell = make_cell(home, "qcrd")
    judge = cell.settings.discriminator.model_copy(update={"checkpoint": "someone/tiny-t5"})
    cell = make_cell(home, "qcrd", discriminator=judge)
    for drawn in ("first", "second"):
        sample_store(cell, own).note_commit(drawn)
    versions = run_cell(cell, "hub", own).versions
    named = {name.removesuffix("_commit"): v for name, v in versions.items() if name.endswith("_commit")}
    assert named == {"data": "of the data", "teacher": "first, second", "discriminator": commit}
    # The next cell finds the discriminator pretrained, and where it came from.
    shorter = config.Training(steps=4, batch=8, lr=5e-3, evaluate_every=4)
    again = run_cell(make_cell(home, "qcrd", discriminator=judge, training=shorter), "hub", own)
    assert again.versions["discriminator_commit"] == commit
    assert "discriminator/pretrain_commit" not in again.statistics
