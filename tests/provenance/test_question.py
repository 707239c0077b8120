"""Questions of finished cells, followed back to what the teacher was asked."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from small_cells import SILENT, TASK, M, Teacher, elsewhere, make_cell

from qcrd import config
from qcrd.cell.answers import read_answers, sample_requests, sample_store
from qcrd.cell.data import task_data
from qcrd.cell.discriminator import ensure_discriminator, new_discriminator
from qcrd.cell.finished import FinishedCell, kept_student
from qcrd.cell.preparation import prepare
from qcrd.cell.run import run_cell
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.errors import DataError
from qcrd.hub.token_ids import tokenise
from qcrd.provenance.entry import discriminator_file, entry
from qcrd.provenance.question import trace
from qcrd.provenance.samples import answers
from qcrd.provenance.text import as_object, entry_text, trace_text
from qcrd.rationales.dual import key_weights
from qcrd.samples import shards
from qcrd.samples.draw import draw
from qcrd.storage.home import Home
from qcrd.student.weights import set_weights

TRAIN = [q.id for q in task_data(TASK).splits.train]


class Wordy(Teacher):
    """Says the same in several ways, so that there is something to choose from."""

    def answer(self, request):
        return f"{['', 'So ', 'Now ', 'Then '][request.seed % 4]}{super().answer(request)}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    cell, splits = make_cell(home), task_data(TASK).splits
    teacher = Wordy([*splits.train, *splits.validation], {TRAIN[SILENT]})
    for split in ("train", "validation"):
        draw(sample_store(cell, home), sample_requests(cell, split, M), teacher, lambda *_: None)
    return home


def ended(home, method="qcrd", labels="teacher", **sections):
    record = run_cell(make_cell(home, method, labels, **sections), f"{method} {labels}", home)
    return FinishedCell.find(home, record.id)


@pytest.fixture(scope="module")
def qcrd(home):
    return ended(home)


def copied(cell, home, folder):
    """The cell in another home, for a test that takes something away."""
    made = elsewhere(home, folder)
    for part in ("cells", "discriminators"):
        shutil.copytree(home.root / part, folder / part)
    return made, FinishedCell.find(made, cell.id)


def distinct(found, positive):
    return [c.text for c in found.training.candidates if c.positive == positive]


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["gold", "teacher"])
def test_a_training_question_has_the_rationales_that_the_cell_was_trained_with(home, labels):
    cell = ended(home, labels=labels)
    sets = {s.question_id: s for s in prepare(cell.cell, home).sets}
    answers = dict(zip(TRAIN, read_answers(cell.cell, home, "train", M), strict=True))
    for question_id in TRAIN:
        found = trace(cell, home, question_id)
        group = sets.get(question_id)
        assert found.training.label == (group.label if group else None)
        assert [each.parsed.answer for each in found.answers.draws] == [
            p.answer for p in answers[question_id]
        ]
        if group:
            assert distinct(found, True) == list(dict.fromkeys(group.positives))
            assert distinct(found, False) == list(dict.fromkeys(group.negatives))
        for candidate in found.training.candidates:
            texts = {found.answers.draws[i].parsed.rationale for i in candidate.draws}
            assert texts == {candidate.text}
    assert found.training.denoise == {"gold": "gold", "teacher": "majority"}[labels]


def test_a_question_that_nobody_answered_is_left_out_and_says_why(home, qcrd):
    found = trace(qcrd, home, TRAIN[SILENT])
    assert found.training.label is None
    assert found.vote.label is None
    assert {each.parsed.reason for each in found.answers.draws} == {"no cue"}
    text = trace_text(found, entry(qcrd, home))
    assert "none: the question is left out" in text
    assert "none of 4 answers could be read" in text


def test_a_rationale_on_neither_side_says_why(home, qcrd, monkeypatch):
    question = task_data(TASK).splits.train[0]
    told = f"{question.rationale} The answer is"
    said = [
        f"{told} {question.label}.",
        f"{question.rationale.upper()} The answer is ( 29 * 29 ).",  # the same words
        f"{told} nothing.",  # no label
        f"Else . {told} ( 29 * 29 ).",
    ]
    task = task_data(TASK).task
    read = {text: task.parse(text, question, "stop") for text in said}
    found = answers(qcrd, home, question)
    draws = [replace(d, text=t, parsed=read[t]) for d, t in zip(found.draws, said, strict=True)]
    monkeypatch.setattr("qcrd.provenance.question.answers", lambda *_: replace(found, draws=draws))
    gold = ended(home, labels="gold")
    candidates = trace(gold, home, question.id).training.candidates
    assert [(c.positive, c.draws) for c in candidates] == [
        (True, (0,)),
        (False, (3,)),
        (None, (1,)),
        (None, (2,)),
    ]
    assert [c.out for c in candidates[2:]] == [
        "it has the tokens of a positive and another label",
        "its label could not be read",
    ]
    text = trace_text(trace(gold, home, question.id), entry(gold, home))
    assert "neither (answer 2); its label could not be read" in text.replace("\n  ", " ")


def test_minmax_takes_the_likeliest_of_each_side_under_the_kept_student(home, qcrd):
    student = kept_student(qcrd.cell, qcrd.student).eval()
    questions = task_data(TASK).splits.train
    rivals = 0
    for number in range(8):
        found = trace(qcrd, home, str(number), "train")
        question = student.completions(["explain: " + questions[number].text], 64)
        for positive in (True, False):
            group = [c for c in found.training.candidates if c.positive == positive]
            with torch.no_grad():
                rows = student.completions([c.text for c in group], 24)
                encoded = student.read(question)
                own = [student.cross_entropy(encoded, [0], [row]).item() for row in rows]
            assert [c.loss for c in group] == pytest.approx(own, abs=1e-5)
            if group:  # of negatives that are all beyond the margin the first
                value = [c.loss if positive else -max(4.0 - c.loss, 0.0) for c in group]
                first = value.index(min(value))
                assert [c.share for c in group] == [float(n == first) for n in range(len(group))]
            rivals += len(group) > 1
    assert rivals, "no question had anything to choose from"


def test_scores_are_the_pretrained_discriminators(home, qcrd):
    path = ensure_discriminator(qcrd.cell, home)
    assert discriminator_file(qcrd, home) == path
    model = new_discriminator(qcrd.cell)
    set_weights(model, load_file(path))
    discriminator = DiscriminatorTrainer(model, qcrd.cell.settings.discriminator, 0)
    found = trace(qcrd, home, "0", "train")
    tokenizer = kept_student(qcrd.cell, qcrd.student).tokenizer
    text = tokenise(tokenizer, [found.question.text], 64)[0]
    rows = tokenise(tokenizer, [c.text for c in found.training.candidates], 24)
    quality = discriminator.quality([(0, text, row) for row in rows]).tolist()
    assert [c.quality for c in found.training.candidates] == pytest.approx(quality, abs=1e-6)
    assert any("after pretraining; its updates during training are not kept" in note for note in found.notes)


@pytest.mark.slow
def test_each_method_and_scheme_says_what_it_takes(home):
    mean = trace(ended(home, contrastive=config.Contrastive(scheme="mean")), home, "1", "train")
    for positive in (True, False):
        group = [c for c in mean.training.candidates if c.positive == positive]
        total = sum(len(c.draws) for c in group)
        assert [c.share for c in group] == pytest.approx([len(c.draws) / total for c in group])
    lots = trace(ended(home, contrastive=config.Contrastive(scheme="sampling")), home, "1", "train")
    assert {c.share for c in lots.training.candidates} == {None}
    assert any("one negative in each step" in note for note in lots.notes)
    for method in ("dss", "single_task"):
        found = trace(ended(home, method), home, "1", "train").training.candidates
        assert [c.share for c in found] == [1.0] + [0.0] * (len(found) - 1)
        assert all(c.loss is not None and c.quality is None for c in found)
    steps = trace(ended(home, "edit"), home, "1", "train").training.candidates
    assert {c.share for c in steps} == {None} and all(c.loss is not None for c in steps)
    label_only = trace(ended(home, "finetuning"), home, "1", "train")
    assert {c.share for c in label_only.training.candidates} == {0.0}


def test_where_key_tokens_count_more_they_do_so_in_the_likelihoods(home):
    keyed = ended(home, contrastive=config.Contrastive(key_weight=9.0))
    found = trace(keyed, home, "1", "train")
    student = kept_student(keyed.cell, keyed.student).eval()
    sides = [student.completions(distinct(found, positive), 24) for positive in (True, False)]
    weights = key_weights(*sides, 9.0)
    assert any(9.0 in row for row in weights)
    with torch.no_grad():
        encoded = student.read(student.completions(["explain: " + found.question.text], 64))
        own = student.cross_entropy(encoded, [0] * len(weights), [*sides[0], *sides[1]], weights)
    assert [c.loss for c in found.training.candidates] == pytest.approx(own.tolist(), abs=1e-5)


@pytest.mark.slow
def test_a_selection_says_what_it_takes_and_why_the_others_went(home):
    section = config.Selection(rule="min_rd", n=1, diversity=True, threshold=0.99)
    cell = ended(home, "morsd", selection=section)
    found = [trace(cell, home, q, "train").training.candidates for q in TRAIN[:8]]
    for candidates in found:
        measured = [c for c in candidates if c.difficulty is not None]
        taken = [c for c in candidates if c.share]
        assert all(c.positive for c in measured) and len(taken) == min(len(measured), 1)
        assert all(c.share == 1 and c.difficulty == min(m.difficulty for m in measured) for c in taken)
        assert all((c.out == "not selected") == (c in measured and c not in taken) for c in candidates)
    out = {c.out for candidates in found for c in candidates}
    assert out == {"", "not selected", "a near-duplicate"}
    told = trace(cell, home, "1", "train")
    assert any("each iteration selected with the student" in note for note in told.notes)
    assert "RD " in trace_text(told, entry(cell, home))
    contrasted = trace(ended(home, selection=section), home, "1", "train").training.candidates
    assert sum(c.share for c in contrasted if c.positive) == 1
    assert sum(c.share for c in contrasted if not c.positive) == 1
    chance = ended(home, "morsd", selection=config.Selection(rule="random", n=1))
    assert {c.share for c in trace(chance, home, "1", "train").training.candidates} == {None}


def test_answers_are_as_they_lie_in_the_store(home, qcrd):
    found = trace(qcrd, home, "5", "train")
    assert len(found.answers.draws) == M
    for each in found.answers.draws:
        rows = shards.read(each.shard).to_pylist()
        row = next(r for r in rows if r["prompt_id"] == found.answers.prompt_id and r["index"] == each.index)
        assert (row["text"], row["finish_reason"]) == (each.text, each.finish_reason)
        assert row["prompt"] == found.answers.prompt
    assert found.question.text in found.answers.prompt


def test_a_test_question_ends_with_the_students_answer(home, qcrd):
    found = trace(qcrd, home, "3")
    assert found.question.id == "arithmetic-test-3"
    assert found.prediction.question_id == found.question.id
    assert (found.answers, found.training, found.vote) == (None, None, None)
    assert found.prediction.label == found.question.label


def test_a_validation_question_has_the_votes_label_where_labels_are_the_teachers(home, qcrd):
    for number in range(TASK.validation):
        found = trace(qcrd, home, str(number), "validation")
        if found.prediction is None:
            assert found.vote.label is None
        else:
            assert found.prediction.label == found.vote.label
    assert trace(ended(home, labels="gold"), home, "0", "validation").vote is None


def test_what_is_gone_is_said_and_the_rest_still_told(home, qcrd, tmp_path):
    made, cell = copied(qcrd, home, tmp_path / "home")
    shutil.rmtree(cell.student)
    discriminator_file(cell, made).unlink()
    (cell.folder / "predictions.json").unlink()
    found = trace(cell, made, "1", "train")
    assert {(c.loss, c.quality, c.share) for c in found.training.candidates} == {(None, None, None)}
    assert {"the student is not kept", "the discriminator is not kept"} <= {
        note.partition(" (")[0].partition(",")[0] for note in found.notes
    }
    assert trace(cell, made, "1").notes == ["the predictions are not kept"]
    kept = entry(cell, made).kept
    assert {name for name, place in kept.items() if place is None} == {
        "student", "predictions", "pretrained discriminator",
    }  # fmt: skip
    assert entry(cell, made).scores == {}
    assert "not kept" in entry_text(entry(cell, made))

    (made.root / "samples").unlink()
    found = trace(cell, made, "1", "train")
    assert (found.answers, found.training) == (None, None)
    assert "answers are not kept" in found.notes[0]
    assert "unknown" in entry_text(entry(cell, made))
    assert not made.samples.exists(), "looking makes no folder"


def test_changed_data_and_unknown_questions_are_refused(home, qcrd, monkeypatch):
    with pytest.raises(DataError, match=r"from 0 to 15 \(test questions.*arithmetic-t"):
        trace(qcrd, home, "arithmetic-tset-4")
    with pytest.raises(DataError, match="from 0 to 31"):
        trace(qcrd, home, "32", "train")
    monkeypatch.setitem(qcrd.record.identity["task"], "data", "other")
    with pytest.raises(DataError, match=r"task\.source no longer holds the data"):
        trace(qcrd, home, "0")


def test_changed_prompts_are_said(home, qcrd, monkeypatch):
    monkeypatch.setitem(qcrd.record.identity["rationales"]["teacher"], "prompts", "other")
    found = trace(qcrd, home, "0", "train")
    assert found.answers is None
    assert "the prompts have changed" in found.notes[0]


def test_an_entry_counts_what_its_figures_are_made_of(home, qcrd):
    found = entry(qcrd, home)
    for split in ("test", "validation"):
        score = found.scores[split]
        assert 100 * score.right / score.questions == pytest.approx(found.accuracy[split])
    assert found.sampler.identity["engine"] == "recorded"
    assert found.sampler.samples == M
    assert found.kept["samples"] == found.sampler.folder
    assert entry(ended(home, "finetuning", "gold"), home).sampler is None
    as_object(found)


def test_what_a_model_wrote_cannot_steer_the_terminal(home, qcrd):
    found = trace(qcrd, home, "1", "train")
    found.answers.draws[0] = replace(found.answers.draws[0], text="red \x1b[31m\nand \x07 a bell")
    text = trace_text(found, entry(qcrd, home))
    assert "| red \\x1b[31m\n  | and \\x07 a bell" in text
    assert not any(ord(c) < 32 and c != "\n" for c in text)
