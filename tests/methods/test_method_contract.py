"""What a method declares is checked where it is made, and counts in the ids."""

import pytest

from qcrd.cell.identity import cell_id
from qcrd.config import Cell, Selection, Training
from qcrd.errors import ConfigError
from qcrd.methods import METHODS
from qcrd.methods.base import Method
from qcrd.methods.finetuning import FINETUNING

OWN = Selection(rule="random", n=2, accuracy=True, diversity=False)


@pytest.mark.parametrize(("uses", "ids"), [({"baseline_m"}, 1), ({"baseline_m", "iteration"}, 2)])
def test_a_method_that_acts_between_iterations_says_so_and_their_length_is_in_its_ids(monkeypatch, uses, ids):
    monkeypatch.setitem(METHODS, "mine", Method("mine", frozenset(uses), "label", FINETUNING.build))
    cells = (Cell(method="mine", training=Training(iteration=steps)) for steps in (None, 7))
    assert len({cell_id(each, "d", {}) for each in cells}) == ids


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"uses": frozenset({"max_rational"})}, "uses: value 'max_rational'; allowed: .* 'max_rationale'"),
        ({"uses": ["m"]}, r"uses: value \['m'\]; allowed: a frozenset"),
        ({"uses": "m"}, "uses: value 'm'; allowed: a frozenset"),
        ({"build": None}, "build: value None; allowed: a function"),
        ({"options": dict}, "options: value .*dict.*; allowed: None, or a class"),
        ({"own": Selection(rule="random", n=2, diversity=False)}, "own.accuracy: value None; allowed"),
        ({"own": Selection(rule="random", n=2, accuracy=True)}, "own.diversity: value None; allowed"),
        ({"own": Selection(accuracy=True, diversity=False)}, "own.rule: value None; allowed"),
    ],
)
def test_a_method_that_says_too_little_or_what_means_nothing_is_refused(settings, said):
    whole = {"uses": frozenset({"m"}), "writes": "label", "build": FINETUNING.build, "own": OWN}
    Method("mine", **whole)
    with pytest.raises(ConfigError, match=f"method 'mine': {said}"):
        Method("mine", **{**whole, **settings})
