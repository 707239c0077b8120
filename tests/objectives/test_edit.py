"""EDIT's two stages against the naive computation, gradients of every weight included."""

from itertools import product

import pytest
import torch
from small import arithmetic_questions, lengths, objective_of, small_student
from torch.nn.functional import cross_entropy

from qcrd import config
from qcrd.rationales.dual import closest
from qcrd.types import RationaleSet

ALPHA1, ALPHA2 = 0.4, 0.6  # of `objective_of`
STEPS = config.Training().steps
BATCH = [3, 0, 1, 2, 4]
EARLY, LATE = STEPS // 4, STEPS // 4 + 1


def questions_and_sets():
    questions = arithmetic_questions(5)
    a, b, c, d, e = (q.rationale for q in questions)
    changed = a.replace(a.split()[0], b.split()[-2], 1)
    sets = [
        RationaleSet("0", questions[0].label, (a, a, f"so {a}"), (b, changed)),
        RationaleSet("1", questions[1].label, (), (a, d)),  # nothing right
        RationaleSet("2", questions[2].label, (c, e), ()),  # nothing wrong
        RationaleSet("3", questions[3].label, (f"so {d}",), (d,)),  # the right one only adds a word
        RationaleSet("4", questions[4].label, (e,), (e,)),  # one text with two answers
    ]
    return questions, sets


def objective(student, **settings):
    questions, sets = questions_and_sets()
    section = lengths(max_rationale=20)
    return objective_of(
        "edit", student, questions, sets, section=section, edit=config.Edit(first=0.25, **settings)
    )


def nats(student, source, target):
    """[tokens] of one target after one input, by the model's own forward pass."""
    decoder = torch.tensor([[student.start_id, *target[:-1]]])
    logits = student.model(input_ids=torch.tensor([source]), decoder_input_ids=decoder).logits[0]
    return cross_entropy(logits.double(), torch.tensor(target), reduction="none")


def label_loss(student, one):
    return torch.stack([nats(student, one.predict[i], one.labels[i]).mean() for i in BATCH]).mean()


def right_ones(student, one, i):
    _, sets = questions_and_sets()
    rows = student.completions(sets[i].positives, 20)
    return sum(nats(student, one.explain[i], r).mean() for r in rows) / len(rows)


def assert_same(student, fast, slow):
    torch.testing.assert_close(fast.double(), slow, rtol=1e-5, atol=1e-6)
    parameters = dict(student.named_parameters())
    pair = [torch.autograd.grad(v, list(parameters.values())) for v in (fast, slow)]
    for name, a, b in zip(parameters, *pair, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")


def test_the_first_stage_is_dss_on_all_right_rationales():
    student = small_student(3).double()
    one = objective(student)
    explain = sum(right_ones(student, one, i) for i in (0, 2, 3, 4)) / 4
    slow = ALPHA1 * label_loss(student, one) + ALPHA2 * explain
    assert_same(student, one.loss(BATCH, EARLY)["loss"], slow)


@pytest.mark.parametrize(
    ("delta", "alpha", "beta"),
    # With alpha 0 the question whose right rationale only adds a word has nothing to learn, and still counts.
    [(0.5, 0.9, 0.3), (5.65, 0.9, 0.3), (100.0, 0.9, 0.3), (5.65, 0.0, 0.3), (5.65, 0.9, 0.0)],
)
def test_the_second_stage_raises_key_tokens_of_the_right_side_and_lowers_those_of_the_wrong_one(
    delta, alpha, beta
):
    student = small_student(3).double()
    one = objective(student, alpha=alpha, beta=beta, delta=delta)
    _, sets = questions_and_sets()
    terms = [right_ones(student, one, i) for i in (2, 4)]  # without a dual
    for i in (0, 3):
        sides = (student.completions(texts, 20) for texts in (sets[i].positives, sets[i].negatives))
        dual, term = closest(product(*sides)), 0.0
        if any(dual.right_keys):
            term += alpha * nats(student, one.explain[i], dual.right)[list(dual.right_keys)].mean()
        if any(dual.wrong_keys):
            term += beta * torch.relu(
                delta - nats(student, one.explain[i], dual.wrong)[list(dual.wrong_keys)].mean()
            )
        terms.append(term)
    slow = ALPHA1 * label_loss(student, one) + ALPHA2 * sum(terms) / 4
    parts = one.loss(BATCH, LATE)
    assert_same(student, parts["loss"], slow)
    if (active := {0.5: 0.0, 100.0: 1.0}.get(delta)) is not None:
        assert parts["negatives/active"] == active


def test_what_there_was_to_learn_from_is_counted():
    found = objective(small_student()).statistics
    assert (found["edit/questions"], found["edit/without"]) == (2, 3)
    assert found["edit/distance"] == 1.0
    assert 0 < found["edit/key_right"] < 20 and 0 < found["edit/key_wrong"] < 20


def test_a_batch_without_a_rationale_has_its_label_loss_alone():
    student = small_student(3).double()
    one = objective(student)
    for step in (EARLY, LATE):
        parts = one.loss([1], step)
        label = nats(student, one.predict[1], one.labels[1]).mean()
        assert_same(student, parts["loss"], ALPHA1 * label)
