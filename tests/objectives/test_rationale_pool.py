"""What is offered to a training: what the filters and rules leave, and when it is chosen anew."""

import pytest
import torch
from small import arithmetic_questions, objective_of, small_discriminator, small_student
from torch.nn.functional import cross_entropy

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.rationales.select import SELECTIONS, Rule
from qcrd.student.difficulty import rationale_difficulty
from qcrd.student.selfplay import Snapshots
from qcrd.types import RationaleSet

QUESTIONS = arithmetic_questions(4)
A, B, C, D = (q.rationale for q in QUESTIONS)
SETS = [
    RationaleSet(
        "0", QUESTIONS[0].label, (A, A, f"then {A}", B), (C, D), (True, False, True, False, True, True)
    ),
    RationaleSet("1", QUESTIONS[1].label, (), (A,), (False,)),
    RationaleSet("2", QUESTIONS[2].label, (C, D, B), ()),
    RationaleSet("3", QUESTIONS[3].label, (D,), (D, A)),
]
BATCH = [3, 0, 1, 2]


def made(method, student=None, measurer=None, discriminator=None, **selection):
    student = student or small_student(3)
    section = config.Selection(**selection)
    objective = objective_of(
        method, student, QUESTIONS, SETS, discriminator, selection=section, measurer=measurer, delta=100.0
    )
    figures = objective.begin_iteration(0, Snapshots(0), range(4))
    return objective, figures


def cut(groups):
    return [small_student().completions(group, 16) for group in groups]


def test_what_a_method_offers_by_itself():
    assert made("dss")[0].pool.positives == cut([[A], [], [C], [D]])
    assert made("qcrd")[0].pool.positives == cut([s.positives for s in SETS])
    objective, figures = made("morsd", n=9, threshold=0.99)
    wanted = cut([[A, f"then {A}", B], [], [C, D, B], [D]])
    assert list(map(sorted, objective.pool.positives)) == list(map(sorted, wanted))
    assert figures["selection/kept"] == pytest.approx(7 / 4)
    assert figures["selection/wrong"] == pytest.approx(5 / 4)
    assert figures["selection/near_duplicate"] == pytest.approx(1 / 4)
    assert figures["selection/left"] == 0
    assert figures["selection/rd"] == figures["selection/rd_kept"]


def test_without_the_accuracy_filter_wrong_ones_are_offered_as_drawn_and_none_is_a_negative():
    objective, figures = made("qcrd", accuracy=False, rule="first", n=3)
    assert objective.pool.positives == cut([[A, C, A], [A], [C, D, B], [D, D, A]])
    assert objective.pool.negatives == [[], [], [], []]
    assert (figures["selection/wrong"], figures["selection/left"]) == (0, 3 / 4)
    assert [len(group) for group in made("qcrd")[0].pool.negatives] == [2, 1, 0, 2]


@pytest.mark.parametrize("method", ["morsd", "qcrd", "dss"])
@pytest.mark.parametrize("rule", ["min_rd", "max_rd"])
def test_every_method_learns_from_what_is_of_least_or_greatest_difficulty_to_it_now(method, rule):
    objective, figures = made(method, rule=rule, n=2, diversity=False)
    student = objective.student
    for _ in range(2):
        asked, labels = (
            student.completions([f"predict: {q.text}" for q in QUESTIONS], 64),
            student.completions([s.label for s in SETS], 12),
        )
        rows = [student.completions(s.positives, 16) for s in SETS]
        difficulty = rationale_difficulty(
            student, asked, labels, rows, student.completions(["The answer is"], 9)[0][:-1]
        )
        sign = 1 if rule == "min_rd" else -1
        for group, values, found in zip(rows, difficulty, objective.pool.positives, strict=True):
            order = sorted(range(len(group)), key=lambda n, values=values: sign * values[n])
            assert found == [group[n] for n in order[:2]]
        every = [value for values in difficulty for value in values]
        assert figures["selection/rd"] == pytest.approx(sum(every) / len(every))
        # It learns, and the next iteration asks it again.
        with torch.no_grad():
            for p in student.parameters():
                p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(5)))
        figures = objective.begin_iteration(1, Snapshots(0), range(4))


def test_only_the_questions_of_an_iteration_are_measured_for_it(monkeypatch):
    objective, _ = made("morsd", n=1, diversity=False)
    before = list(objective.pool.positives)
    monkeypatch.setattr(objective.pool, "seed", 1)
    figures = objective.begin_iteration(1, Snapshots(0), [2, 3])
    assert objective.pool.positives[:2] == before[:2]
    assert figures["selection/left"] == pytest.approx((2 + 0) / 2)


def test_chance_takes_others_in_each_iteration_and_the_same_for_a_seed():
    def drawn(iterations):
        objective, _ = made("morsd", rule="random", n=1, diversity=False)
        found = [objective.pool.positives[2]]
        for iteration in range(1, iterations):
            objective.begin_iteration(iteration, Snapshots(0), range(4))
            found.append(objective.pool.positives[2])
        return found

    first = drawn(12)
    assert first == drawn(12)
    assert len({tuple(group[0]) for group in first}) == 3


def test_another_model_measures_once_with_its_own_tokenizer_and_is_let_go():
    other, loaded = small_student(8), []
    rules = {"rule": "min_rd", "n": 1, "diversity": False, "measured_by": "another"}
    objective, figures = made("morsd", measurer=lambda: loaded.append(1) or other, **rules)
    by_itself, _ = made("morsd", student=other, rule="min_rd", n=1, diversity=False)
    assert objective.pool.positives == by_itself.pool.positives
    assert figures["selection/rd"] == pytest.approx(
        by_itself.begin_iteration(1, Snapshots(0), range(4))["selection/rd"]
    )
    assert objective.begin_iteration(1, Snapshots(0), range(4)) == {}
    assert loaded == [1]


def naive(student, asked, target):
    decoder = torch.tensor([[student.start_id, *target[:-1]]])
    logits = student.model(input_ids=torch.tensor([asked]), decoder_input_ids=decoder).logits[0]
    return cross_entropy(logits.double(), torch.tensor(target))


def test_a_questions_rationale_loss_is_the_mean_over_its_selected_ones():
    student = small_student(3).double()
    objective, _ = made("morsd", student, n=2, threshold=0.99)
    predict = torch.stack([naive(student, objective.predict[i], objective.labels[i]) for i in BATCH]).mean()
    explain = []
    for i in BATCH:
        rows = [naive(student, objective.explain[i], r) for r in objective.pool.positives[i]]
        explain += [torch.stack(rows).mean()] if rows else []
    assert {len(group) for group in objective.pool.positives} == {0, 1, 2}
    slow = 0.4 * predict + 0.6 * torch.stack(explain).mean()
    fast = objective.loss(BATCH, 1)["loss"]
    torch.testing.assert_close(fast.double(), slow, rtol=1e-5, atol=1e-6)
    parameters = list(student.parameters())
    pair = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (fast, slow)]
    for a, b in zip(*pair, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_qcrd_contrasts_the_selected_with_all_negatives_and_its_judge_still_sees_all():
    discriminator = small_discriminator(update_steps=0)
    objective, _ = made("qcrd", discriminator=discriminator, rule="min_rd", n=1)
    assert [len(group) for group in objective.pool.positives] == [1, 0, 1, 1]
    assert [len(group) for group in objective.pool.negatives] == [2, 1, 0, 2]
    assert [len(q.positives) for q in objective.discriminator_questions] == [3, 0, 3, 1]
    assert torch.isfinite(objective.loss(BATCH, 1)["loss"])


def test_a_batch_of_which_nothing_is_selected_has_its_label_loss_alone():
    objective, _ = made("morsd")
    loss = objective.loss([1], 1)
    label = naive(objective.student, objective.predict[1], objective.labels[1])
    torch.testing.assert_close(loss["loss"].double(), 0.4 * label.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("numbers", [[-1], [0, 0], [99], ["0"], [0.5], 0, None])
def test_a_rule_that_chooses_what_is_not_there_is_named_with_the_question(monkeypatch, numbers):
    monkeypatch.setitem(SELECTIONS, "mine", Rule("mine", lambda candidates, n, chance: numbers))
    with pytest.raises(ConfigError, match=f"'mine' chose .* candidates of question '{QUESTIONS[0].id}'"):
        made("dss", rule="mine")


def test_a_rule_may_give_its_numbers_as_a_tensor(monkeypatch):
    rule = Rule("mine", lambda candidates, n, chance: torch.arange(len(candidates)))
    monkeypatch.setitem(SELECTIONS, "mine", rule)
    assert made("dss", rule="mine")[0].pool.positives == cut([s.positives for s in SETS])


def test_a_set_knows_in_which_order_its_rationales_were_drawn():
    assert SETS[0].drawn() == [(A, True), (C, False), (A, True), (D, False), (f"then {A}", True), (B, True)]
    assert SETS[3].drawn() == [(D, True), (D, False), (A, False)]
