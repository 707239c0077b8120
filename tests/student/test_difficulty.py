"""Rationale Difficulty against one rationale at a time, by transformers' own forward pass."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import arithmetic_questions, small_student

from qcrd import tasks
from qcrd.student import difficulty
from qcrd.student.difficulty import answer_cue, rationale_difficulty

QUESTIONS = arithmetic_questions(6)
STUDENT = small_student(2, dropout=0.5).double()
ASKED = STUDENT.completions([f"predict: {q.text}" for q in QUESTIONS], 64)
LABELS = STUDENT.completions([q.label for q in QUESTIONS], 12)
POOL = STUDENT.completions([q.rationale for q in QUESTIONS] + [QUESTIONS[0].rationale.partition(" ")[0]], 16)
CUE = answer_cue(STUDENT, tasks.get("arithmetic"), QUESTIONS[0].label)


def naive(asked, label, before):
    """Mean nats of the label's tokens where the decoder has written `before`."""
    written = [STUDENT.start_id, *before, *label]
    logits = STUDENT.model(input_ids=torch.tensor([asked]), decoder_input_ids=torch.tensor([written])).logits
    logs = logits[0].double().log_softmax(-1)
    return -sum(logs[len(before) + n, token].item() for n, token in enumerate(label)) / len(label)


@given(
    groups=st.lists(st.lists(st.integers(0, 6), max_size=4), min_size=1, max_size=6),
    cue=st.sampled_from([[], CUE]),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_it_is_what_the_rationale_takes_off_the_answers_cross_entropy(groups, cue):
    count = len(groups)
    rationales = [[POOL[n] for n in group] for group in groups]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(difficulty, "TOKENS", {"cpu": 60})  # several batches
        found = rationale_difficulty(STUDENT.train(), ASKED[:count], LABELS[:count], rationales, cue)
    assert STUDENT.training, "the mode is as it was"
    STUDENT.eval()
    for asked, label, rows, values in zip(ASKED, LABELS, rationales, found, strict=False):
        alone = naive(asked, label, [])
        wanted = [naive(asked, label, [*row[:-1], *cue]) - alone for row in rows]
        assert values == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_by_hand_a_rationale_that_helps_is_below_zero_and_one_that_misleads_above(monkeypatch):
    end, answer, helps, misleads = 1, 5, 6, 7
    nats = {helps: 0.5, misleads: 3.0}  # of each token of an answer behind such a rationale; else 2

    def likelihood(memory, source, targets, weights):
        each = [[nats.get(row[0], 2.0)] * len(row) for row in targets]
        pairs = zip(each, weights, strict=True)
        return torch.tensor([sum(n * w for n, w in zip(*p, strict=True)) / sum(p[1]) for p in pairs])

    monkeypatch.setattr(STUDENT, "cross_entropy", likelihood)
    rows = [[helps, 8, end], [misleads, end], [9, end], [end]]
    # 0.5 - 2, 3 - 2, 2 - 2, and nothing written: y alone
    assert rationale_difficulty(STUDENT, ASKED[:1], [[answer, end]], [rows]) == [[-1.5, 1.0, 0.0, 0.0]]


def test_each_question_is_encoded_once_and_equal_rationales_are_measured_once(monkeypatch):
    encoded, decoded = [], []
    read, likelihood = STUDENT.read, STUDENT.cross_entropy
    monkeypatch.setattr(STUDENT, "read", lambda rows: encoded.append(len(rows)) or read(rows))

    def counted(memory, source, targets, weights):
        decoded.append(len(targets))
        return likelihood(memory, source, targets, weights)

    monkeypatch.setattr(STUDENT, "cross_entropy", counted)
    a, b = POOL[:2]
    found = rationale_difficulty(STUDENT, ASKED[:3], LABELS[:3], [[a, b, a], [], [b]])
    assert (encoded, decoded) == ([2], [(1 + 2) + (1 + 1)])  # the second has nothing to measure
    assert found[0][0] == found[0][2] and [len(values) for values in found] == [3, 0, 1]


def test_what_is_measured_carries_no_gradient_and_draws_no_chance():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = rationale_difficulty(STUDENT.train(), ASKED, LABELS, [[row] for row in POOL[:6]])
    assert torch.equal(torch.get_rng_state(), state)
    assert first == rationale_difficulty(STUDENT, ASKED, LABELS, [[row] for row in POOL[:6]])


def test_the_cue_is_what_stands_before_an_answer_and_never_a_part_of_it():
    task = tasks.get("arithmetic")
    for label in ("( 3 + 4 )", "a", "The answer"):
        assert STUDENT.text(answer_cue(STUDENT, task, label)) == "The answer is"
