"""Cells whose student writes rationale, cue and label in one sequence, from settings to record."""

import json

import pytest
from small import SHAPE
from small_cells import elsewhere, fill, make_cell

from qcrd import config, tasks
from qcrd.cell.answering import Answerer
from qcrd.cell.finished import FinishedCell, kept_student
from qcrd.cell.identity import cell_id
from qcrd.cell.preparation import prepare
from qcrd.cell.run import run_cell
from qcrd.config import Cell
from qcrd.judging.cells import Explainer
from qcrd.judging.rationales import rationales
from qcrd.methods import METHODS
from qcrd.provenance.question import trace
from qcrd.storage.home import Home
from qcrd.training.evaluate import Evaluator

BOTH = ("qcrd", "morsd", "edit")  # methods that are available in both forms
LLAMA = config.Architecture(family="llama", d_model=16, d_kv=8, d_ff=32, layers=1, heads=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home, make_cell(home))
    return home


def sequence_cell(home, method="qcrd", shape=SHAPE, **sections):
    student = config.Student(
        architecture=shape, max_input=64, max_rationale=40, max_label=12, targets="sequence"
    )
    return make_cell(home, method, **{"student": student} | sections)


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("shape", [SHAPE, LLAMA], ids=["t5", "llama"])
def test_a_cell_in_sequence_form_ends_and_is_evaluated_by_the_labels_that_are_read(
    home, tmp_path, method, shape
):
    if shape is LLAMA:
        home = elsewhere(home, tmp_path / "llama")
    cell = sequence_cell(home, method, shape)
    record = run_cell(cell, method, home)
    folder = home.cell(record.id)
    assert (record.status, record.message) == ("done", "")
    stored = json.loads((folder / "predictions.json").read_text())["test"]
    task, questions = tasks.get("arithmetic"), {q.id: q for q in cell.splits.test}
    for row in stored:
        question = questions[row["question_id"]]
        label = task.parse(row["text"], question).label
        assert row["correct"] == (label is not None and task.correct(label, question))
    statistics = record.statistics
    assert "student/cut_sequences" in statistics and "student/cut_positives" not in statistics
    assert ("selfplay/right" in statistics) == (method == "qcrd")
    assert statistics["rationales/without_positive"] > 0


class Parrot:
    """A student that writes what it is given."""

    def __init__(self, texts):
        self.texts = texts

    def prompts(self, kind, questions, limit):
        self.kind = kind
        return questions

    def generate(self, asked, limit):
        self.limit = limit
        return self.texts

    def text(self, tokens):
        return tokens


def test_evaluation_reads_the_label_out_of_a_sequence(home):
    questions = prepare(make_cell(home), home).test[:3]
    right, wrong, label = questions[0].label, questions[2].label, questions[2].label
    student = Parrot([f"We add. The answer is {right}.", f"We add. The answer is {wrong}.", label])
    settings = sequence_cell(home).settings.student
    evaluate = Evaluator(student, tasks.get("arithmetic"), METHODS["qcrd"], questions, settings)
    assert [p.correct for p in evaluate()] == [True, False, False], "a label alone is no sequence"
    assert (student.kind, student.limit) == ("solve", settings.max_rationale + settings.max_label)
    multitask = settings.model_copy(update={"targets": "multitask"})
    evaluate = Evaluator(student, tasks.get("arithmetic"), METHODS["qcrd"], questions, multitask)
    assert [p.correct for p in evaluate()] == [False, False, True]
    assert (student.kind, student.limit) == ("predict", settings.max_label)


def test_what_answers_judges_and_follows_back_reads_sequences(home):
    record = run_cell(sequence_cell(home), "qcrd", home)
    ended = FinishedCell.find(home, record.id)
    student, task = kept_student(ended.cell, ended.student).eval(), ended.cell.task
    lengths, asked = ended.cell.settings.student, list(ended.cell.splits.test[:4])
    prompts = student.prompts("solve", [q.text for q in asked], lengths.max_input)
    limit = lengths.max_rationale + lengths.max_label
    texts = [student.text(row) for row in student.generate(prompts, limit)]
    parsed = [task.parse(text, q) for text, q in zip(texts, asked, strict=True)]
    answered = Answerer(ended.cell, ended.student)(asked, explain=True)
    assert [(a.label, a.rationale) for a in answered] == [(p.label or "", p.rationale or "") for p in parsed]
    assert len(rationales(Explainer.find(home, record.id), asked, 0.0)) == len(asked)

    found = trace(ended, home, "1", "train")
    candidates = found.training.candidates
    positives = [c for c in candidates if c.positive]
    [group] = [s for s in prepare(ended.cell, home).sets if s.question_id == found.question.id]
    rows = student.completions([task.target(c.text, group.label) for c in positives], limit)
    memory = student.read(student.prompts("solve", [found.question.text], lengths.max_input))
    own = student.cross_entropy(memory, [0] * len(rows), rows).tolist()
    assert [c.loss for c in positives] == pytest.approx(own, abs=1e-5)
    assert any("l is of the whole sequence" in note for note in found.notes)


def identity_of(method, **changes):
    return cell_id(Cell.model_validate({"method": method, **changes}), "d", {})


@pytest.mark.parametrize("method", METHODS)
def test_targets_are_in_the_ids_where_they_are_in_force_and_there_is_one_loss(method):
    sequence = {"student": {"targets": "sequence"}}
    plain = identity_of(method)
    assert identity_of(method, student={"targets": "multitask"}) == plain
    assert (identity_of(method, **sequence) != plain) == (method in BOTH)
    if method in BOTH:
        once = identity_of(method, **sequence)
        assert identity_of(method, **sequence, training={"alpha1": 0.1, "alpha2": 0.9}) == once
        assert identity_of(method, **sequence, rationales={"unread": "negative"}) == once
        assert identity_of(method, **sequence, task={"thinking": "both"}) != once


def test_each_negative_keeps_its_label_and_one_without_a_readable_label_makes_no_sequence(home):
    unread = config.Rationales(labels="teacher", m=4, unread="negative")
    assert make_cell(home, rationales=unread).unread == "negative"
    cell = sequence_cell(home, rationales=unread)
    assert cell.unread == "drop"
    prepared = prepare(cell, home)
    assert sum(len(group.negatives) for group in prepared.sets) > 0
    for question, group in zip(prepared.questions, prepared.sets, strict=True):
        assert len(group.negatives) == len(group.negative_labels)
        for label in group.negative_labels:
            assert cell.task.answer(label, question) not in (None, group.answer)
