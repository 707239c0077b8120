"""A training step on whole sequences (`student.targets`) equals the naive computation, gradients included."""

from dataclasses import replace
from itertools import product as pairs_of

import pytest
import test_whole_step
import test_whole_step_causal
import torch
from causal_models import causal_student
from daily import product
from small import arithmetic_questions, lengths, objective_of, small_discriminator
from test_whole_step import BATCH, BETA, assert_same_step, begin, draws, one_side

from qcrd import config, tasks
from qcrd.hub.token_ids import tokenise
from qcrd.losses import SCHEMES
from qcrd.rationales.dual import closest, key_weights
from qcrd.rationales.prompted_duals import Pair
from qcrd.types import RationaleSet

TASK = tasks.get("arithmetic")
SECTION = lengths(targets="sequence", max_rationale=24)
LIMIT = SECTION.max_rationale + SECTION.max_label
STEP = 7
EARLY, LATE = 1, config.Training().steps
STUDENTS = ["t5", "llama", "qwen3"]


def questions_and_sets():
    questions = arithmetic_questions(5)
    texts = [q.rationale for q in questions]
    label = [q.label for q in questions]
    a, b, c, d, e = texts

    def one(n, positives, negatives):
        rationales = tuple(texts[i] for i in negatives)
        wrong = tuple(label[i] for i in negatives)
        return RationaleSet(str(n), label[n], positives, rationales, negative_labels=wrong)

    sets = [
        one(0, (a, a, f"so {a}"), (1, 1, 2)),  # doubles on both sides
        one(1, (), (0, 3)),  # no positive
        one(2, (c, e), ()),  # no negative of the teacher's
        one(3, (d, a, b), (2, 4)),
        one(4, (e,), (0,)),  # nothing to choose
    ]
    return questions, sets


def double(name):
    return test_whole_step.double_student() if name == "t5" else test_whole_step_causal.double(name)


def nats_of(name):
    """l of one completion behind one prompt."""
    return test_whole_step.separate if name == "t5" else test_whole_step_causal.separate


def sides(student, questions, sets, played, i):
    """Sequences of a question's positives and negatives, and of each the text that the judge reads."""
    group = sets[i]
    right = [(r, group.label) for r in group.positives]
    wrong = list(zip(group.negatives, group.negative_labels, strict=True))
    both = []
    for pairs in (right, wrong):
        rows = student.completions([f"{r} The answer is {y}." for r, y in pairs], LIMIT)
        both.append(list(zip(rows, [r for r, _ in pairs], strict=True)))
    for row in played[i]:
        text = student.text(row)
        both[1].append((row, TASK.parse(text, questions[i]).rationale or text))
    return both


def naive(student, separate, questions, sets, objective, scheme, discriminator, delta, key):
    prompts = student.prompts("solve", [q.text for q in questions], SECTION.max_input)
    contrasted = [i for i in BATCH if sets[i].positives]
    drawn = draws(objective, contrasted, STEP) if scheme == "sampling" else None
    total = torch.zeros((), dtype=torch.float64)
    for i in contrasted:
        both = sides(student, questions, sets, objective.played, i)
        weights = iter(key_weights(*([row for row, _ in side] for side in both), key))
        terms = []
        for positive, rows in zip((True, False), both, strict=True):
            loss = [separate(student, prompts[i], row, next(weights)) for row, _ in rows]
            value = loss if positive else [torch.relu(delta - v) for v in loss]
            s = [quality(discriminator, student, questions[i], text) for _, text in rows]
            weight = s if positive or discriminator is None else [1 - v for v in s]
            terms.append(one_side(scheme, positive, value, weight, drawn and drawn.get((i, positive))))
        total = total + terms[0] + BETA * terms[1]
    return total / len(contrasted)


def quality(discriminator, student, question, rationale):
    if discriminator is None:
        return 1.0
    [asked] = tokenise(student.tokenizer, [question.text], SECTION.max_input)
    [row] = tokenise(student.tokenizer, [rationale], SECTION.max_rationale)
    score = discriminator.model.eval()([asked + row]).double()
    return torch.sigmoid(score - discriminator.model.center)[0].item()


@pytest.mark.parametrize(
    "scheme, name, settings",
    product(
        SCHEMES,
        ["t5", "llama", "llama-lora", "qwen2", "qwen3"],
        [(True, 2, 1.0), (False, 0, 1.0), (False, 1, 5.0)],
    ),
)
def test_qcrd_contrasts_whole_sequences_as_the_naive_computation(scheme, name, settings):
    judged, k, key = settings
    questions, sets = questions_and_sets()
    student = double(name)
    discriminator = small_discriminator(update_steps=0, student=student) if judged else None

    def objective_with(delta):
        sections = {"scheme": scheme, "section": SECTION, "selfplay": config.SelfPlay(k=k, lag=2)}
        margins = {"beta": BETA, "delta": delta, "key_weight": key}
        made = objective_of("qcrd", student, questions, sets, discriminator, **sections, **margins)
        begin(made, student)
        return made

    # The mean of the chosen negatives' l as the margin leaves hinges of both kinds.
    delta = objective_with(100.0).loss(BATCH, STEP)["negative"].item()
    objective = objective_with(delta)
    assert (sum(map(len, objective.played)) > 0) == (k > 0)
    parts = objective.loss(BATCH, STEP)
    assert "predict" not in parts, "there is no label loss"
    slow = naive(student, nats_of(name), questions, sets, objective, scheme, discriminator, delta, key)
    assert_same_step(student, parts["loss"], slow)


def test_a_step_on_sequences_does_not_depend_on_the_cut_into_micro_batches():
    questions, sets = questions_and_sets()
    values = []
    for max_tokens in (2**20, 48):
        student = causal_student("llama", 3, max_tokens).double()
        sections = {"section": SECTION, "selfplay": config.SelfPlay(k=2, lag=2)}
        objective = objective_of("qcrd", student, questions, sets, **sections, delta=100.0)
        begin(objective, student)
        loss = objective.loss(BATCH, STEP)["loss"]
        loss.backward()
        values.append([loss.detach(), *(parameter.grad for parameter in student.parameters())])
    torch.testing.assert_close(values[0], values[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", STUDENTS)
def test_morsd_and_edits_first_stage_learn_the_selected_sequences(name):
    questions, sets = questions_and_sets()
    student, separate = double(name), nats_of(name)
    prompts = student.prompts("solve", [q.text for q in questions], SECTION.max_input)
    none = [[] for _ in questions]

    def mean_of(i):
        rows = [row for row, _ in sides(student, questions, sets, none, i)[0]]
        return sum(separate(student, prompts[i], row) for row in rows) / len(rows)

    everything = config.Selection(rule="all", diversity=False)
    for method in ("morsd", "edit"):
        objective = objective_of(method, student, questions, sets, section=SECTION, selection=everything)
        parts = objective.loss(BATCH, EARLY)
        assert parts.keys() == {"loss", "positive"}
        assert_same_step(student, parts["loss"], sum(map(mean_of, (0, 2, 3, 4))) / 4)


def key_loss(student, separate, prompt, dual, edit):
    loss = 0.0
    if any(dual.right_keys):
        loss = loss + edit.alpha * separate(student, prompt, dual.right, [float(k) for k in dual.right_keys])
    if any(dual.wrong_keys):
        wrong = separate(student, prompt, dual.wrong, [float(k) for k in dual.wrong_keys])
        loss = loss + edit.beta * torch.relu(edit.delta - wrong)
    return loss


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("duals", ["mined", "prompted"])
def test_the_key_tokens_of_edit_are_those_of_whole_sequences(name, duals):
    questions, sets = questions_and_sets()
    student, separate = double(name), nats_of(name)
    edit = config.Edit(first=0.25, alpha=0.9, beta=0.3, delta=100.0, duals=duals)
    prompts = student.prompts("solve", [q.text for q in questions], SECTION.max_input)
    # Of one rationale with two labels nothing but the labels is key.
    pairs = [[Pair(q.rationale, q.rationale, questions[i - 1].label)] for i, q in enumerate(questions)]
    objective = objective_of("edit", student, questions, sets, section=SECTION, edit=edit, pairs=pairs)
    none = [[] for _ in questions]
    terms = []
    for i in BATCH:
        right, wrong = ([row for row, _ in side] for side in sides(student, questions, sets, none, i))
        if duals == "prompted":
            texts = [
                f"{questions[i].rationale} The answer is {q.label}." for q in (questions[i], questions[i - 1])
            ]
            right, wrong = ([row] for row in student.completions(texts, LIMIT))
        dual = closest(pairs_of(right, wrong))
        if dual is not None:
            terms.append(key_loss(student, separate, prompts[i], dual, edit))
            assert any(dual.right_keys[-SECTION.max_label :]), "the label is key"
        elif right:
            terms.append(sum(separate(student, prompts[i], row) for row in right) / len(right))
    parts = objective.loss(BATCH, LATE)
    assert "predict" not in parts
    assert_same_step(student, parts["loss"], sum(terms) / len(terms))


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("method", ["qcrd", "morsd", "edit"])
def test_a_batch_without_a_positive_changes_nothing(name, method):
    questions, sets = questions_and_sets()
    student = double(name)
    objective = objective_of(method, student, questions, sets, section=SECTION)
    begin(objective, student) if method == "qcrd" else None
    for step in (EARLY, LATE):
        loss = objective.loss([1], step)["loss"]
        assert loss.item() == 0
        trained = [p for _, p in student.named_parameters()]
        assert all(not g.any() for g in torch.autograd.grad(loss, trained))


@pytest.mark.parametrize("name", STUDENTS)
def test_sequences_that_self_play_ends_with_the_right_label_are_no_negatives(name, monkeypatch):
    questions, sets = questions_and_sets()
    student = double(name)
    first, other = questions[0], questions[1]
    written = {
        "right": f"{other.rationale} The answer is {first.label}.",
        "equal": f"{first.rationale} The answer is {other.label}.",
        "wrong": f"{other.rationale} The answer is {other.label}.",
        "unread": f"{other.rationale} and so",
    }
    rows = [row[:-1] for row in student.completions(list(written.values()), LIMIT)]
    monkeypatch.setattr(student, "generate", lambda asked, *given, **settings: rows * len(asked))
    objective = objective_of(
        "qcrd",
        student,
        questions,
        sets[:1] + [replace(group, positives=()) for group in sets[1:]],
        small_discriminator(update_steps=0, student=student),
        section=SECTION,
        selfplay=config.SelfPlay(k=4, lag=1),
    )
    figures = begin(objective, student)
    assert [student.text(row) for row in objective.played[0]] == [
        student.text(student.completions([written[kind]], LIMIT)[0]) for kind in ("wrong", "unread")
    ]
    assert (figures["selfplay/right"], figures["selfplay/equal_positive"]) == (1 / 4, 1 / 4)
    assert objective.figures()["selfplay/right"] == 1 / 4
    judged = [student.text(row) for row in objective.input.written(0)]
    cut = SECTION.max_rationale
    wanted = tokenise(student.tokenizer, [other.rationale, written["unread"]], cut)
    assert judged == [student.text(row) for row in wanted]
    state = objective.state()
    objective.load_state(state)
    assert objective.figures()["selfplay/right"] == 1 / 4


def test_a_negative_without_a_label_makes_no_sequence():
    questions, sets = questions_and_sets()
    sets[0] = replace(sets[0], negative_labels=(None, None, None))
    with pytest.raises(ValueError, match="no label ends the sequence"):
        objective_of("qcrd", double("t5"), questions, sets, section=SECTION)
