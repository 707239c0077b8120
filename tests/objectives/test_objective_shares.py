"""What an objective says of the shares of a question's rationales, against the gradient of its loss."""

import pytest
import torch
from small import arithmetic_questions, objective_of, small_student

from qcrd import config
from qcrd.losses import SCHEMES
from qcrd.methods import METHODS
from qcrd.methods.base import Method
from qcrd.objectives.base import Stateless, weighing
from qcrd.student.selfplay import Snapshots
from qcrd.types import RationaleSet

(QUESTION,) = arithmetic_questions(1)
RIGHT = ("Tom has 8 apples .", "He has 2 .", "Tom has 3 + 5 apples .")
WRONG = ("Ann has 3 pens .", "8 - 2", "He has 8 pens and 2 apples .")
SET = RationaleSet("0", QUESTION.label, RIGHT, WRONG)
SIDES = [True] * len(RIGHT) + [False] * len(WRONG)
ALPHA2, BETA, DELTA = 0.6, 0.5, 100.0  # all negatives are within the margin


def told(method, cell, sides=SIDES, likelihoods=None):
    return weighing(METHODS[method].builder()).shares(cell, sides, likelihoods)


def coefficients(method, monkeypatch, **settings):
    """The gradient of a step's loss by each rationale's l, without alpha2 and beta; and the l."""
    student = small_student(3)
    objective = objective_of(method, student, [QUESTION], [SET], beta=BETA, delta=DELTA, **settings)
    objective.begin_iteration(0, Snapshots(0), range(1))
    kept = []
    cross_entropy, score = student.cross_entropy, student.score

    def leaves(values, completions):
        values.retain_grad()
        kept.append((values, completions))
        return values

    def scored(prompts, source, completions, weights=None):
        result = score(prompts, source, completions, weights)
        differentiable = result.differentiable
        result.differentiable = lambda chosen: leaves(
            differentiable(chosen), [completions[row] for row in chosen]
        )
        return result

    monkeypatch.setattr(student, "cross_entropy", lambda *args: leaves(cross_entropy(*args), list(args[2])))
    monkeypatch.setattr(student, "score", scored)
    objective.loss([0], 1)["loss"].backward()
    ((values, completions),) = kept
    gradient = {tuple(row): g for row, g in zip(completions[1:], values.grad[1:].tolist(), strict=True)}
    rows = student.completions(RIGHT + WRONG, 16)
    with torch.no_grad():
        likelihoods = cross_entropy(student.read(objective.explain), [0] * len(rows), rows)
    factors = [ALPHA2 if side else -ALPHA2 * BETA for side in SIDES]
    return [gradient.get(tuple(row), 0.0) / f for row, f in zip(rows, factors, strict=True)], likelihoods


@pytest.mark.parametrize("scheme", [name for name, scheme in SCHEMES.items() if not scheme.draws])
def test_shares_of_a_scheme_are_the_coefficients_of_its_loss(scheme, monkeypatch):
    found, likelihoods = coefficients("qcrd", monkeypatch, scheme=scheme)
    cell = config.Cell(contrastive=config.Contrastive(scheme=scheme, delta=DELTA))
    assert told("qcrd", cell, likelihoods=likelihoods) == pytest.approx(found, abs=1e-5)
    without = told("qcrd", cell)
    assert (without is None) == SCHEMES[scheme].needs_values


def test_shares_of_the_selected_rationales_are_the_coefficients_of_the_loss(monkeypatch):
    cell = config.Cell(method="dss")
    found, _ = coefficients("dss", monkeypatch)
    assert told("dss", cell, [True] + [None] * 2 + [False] * 3) == pytest.approx(found, abs=1e-5)
    found, _ = coefficients("dss", monkeypatch, selection=config.Selection(rule="all"))
    assert told("dss", cell) == pytest.approx(found, abs=1e-5)


def test_other_methods_say_what_their_targets_have():
    cell = config.Cell()
    assert told("finetuning", cell) == [0.0] * 6
    assert told("single_task", cell, [None, True, True, False]) == [0.0, 1.0, 0.0, 0.0]
    assert told("single_task", cell, [False]) == told("dss", cell, [False]) == [0.0]
    assert told("edit", cell) is None
    assert told("qcrd", cell, [False, None], torch.zeros(2)) == [0.0, 0.0]


def test_what_draws_anew_in_each_step_has_no_shares():
    cell = config.Cell(contrastive=config.Contrastive(scheme="sampling"))
    assert told("qcrd", cell, likelihoods=torch.ones(6)) is None


def test_a_scheme_that_draws_says_so():
    for name, scheme in SCHEMES.items():
        generator = torch.Generator()
        before = generator.get_state()
        for side in (scheme.positives, scheme.negatives):
            side(torch.ones(1, 3), torch.ones(1, 3, dtype=torch.bool), generator)
        assert scheme.draws != torch.equal(before, generator.get_state()), name


def test_a_function_that_builds_an_objective_tells_nothing():
    own = Method("own", frozenset({"m"}), "label", lambda given: None)
    assert weighing(own.builder()) is Stateless
    assert weighing(own.builder()).shares(config.Cell(), SIDES, None) is None
