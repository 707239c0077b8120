"""Sections and lines of a grid's table."""

import pytest

from qcrd.config import Grid
from qcrd.grid.plan.expansion import expand
from qcrd.grid.plan.factors import dotted_path
from qcrd.grid.results.layout import table_settings


def of(line):
    """Section, label and whether it is the base."""
    return line.setting.group, line.setting.label, line.setting.base


def laid_out(**parts):
    """(section, label, base, ids) of each line; an id is the cell's number."""
    for part in ("product", "sweep"):
        parts[part] = {dotted_path(name): values for name, values in parts.get(part, {}).items()}
    grid = Grid(name="g", preset="embedded", **parts)
    cells = expand(grid, "embedded")
    found = table_settings(grid, cells, [str(i) for i in range(len(cells))])
    return cells, [(*of(p), list(p.cells)) for p in found]


def lines(**parts):
    return [line[:3] for line in laid_out(**parts)[1]]


def test_a_grid_of_one_setting_is_one_line_named_after_its_method():
    assert lines(seeds=2) == [("", "qcrd", False)]


def test_a_product_is_one_section_in_the_files_order():
    assert lines(product={"tau": [1.5, 0], "method": ["qcrd", "dss"]}) == [
        ("", "tau=1.5 qcrd", False),
        ("", "dss", False),
        ("", "tau=0 qcrd", False),
    ]


def test_factors_that_make_no_difference_are_not_in_a_label_and_no_cell_counts_twice():
    cells, found = laid_out(product={"k": [1, 0], "tau": [0, 0.7]}, seeds=3)
    assert len(cells) == 3 * 3
    assert [(label, len(ids)) for _, label, _, ids in found] == [
        ("k=1 tau=0", 3),
        ("k=1 tau=0.7", 3),
        ("k=0", 3),
    ]
    for _, _, _, ids in found:
        assert sorted(cells[int(i)].cell.settings.seed for i in ids) == [0, 1, 2]


def test_a_sweep_goes_around_each_combination_that_it_changes():
    _, found = laid_out(product={"method": ["finetuning", "qcrd"]}, sweep={"beta": [0, 0.1]}, seeds=2)
    assert [(*line[:3], len(line[3])) for line in found] == [
        ("", "finetuning", False, 2),
        ("", "qcrd", False, 2),
        ("qcrd: beta", "0.2", True, 2),  # the base, though the sweep omits its value
        ("qcrd: beta", "0", False, 2),
        ("qcrd: beta", "0.1", False, 2),
    ]
    assert found[1][3] == found[2][3] and not set(found[0][3]) & set(found[1][3])


def test_combinations_between_which_a_sweep_does_not_differ_share_a_section():
    found = lines(product={"k": [0, 1], "tau": [0, 1.5]}, sweep={"delta": [2, 4], "selfplay.lag": [5, 1]})
    assert list(dict.fromkeys(group for group, _, _ in found)) == [
        "",
        "k=0: delta",
        "k=1 tau=0: delta",
        "k=1 tau=0: lag",
        "k=1 tau=1.5: delta",
        "k=1 tau=1.5: lag",
    ]


def test_a_base_that_is_equal_in_two_combinations_may_have_two_sweeps():
    found = lines(base={"method": "dss"}, product={"k": [0, 1]}, sweep={"method": ["dss", "qcrd"]})
    assert found == [
        ("", "k=0|1", False),
        ("k=0: method", "dss", True),
        ("k=0: method", "qcrd", False),
        ("k=1: method", "dss", True),
        ("k=1: method", "qcrd", False),
    ]


@pytest.mark.parametrize("order", [("scheme", "beta"), ("beta", "scheme")])
def test_sections_and_values_are_in_the_files_order(order):
    values = {"scheme": ["wmean", "minmax"], "beta": [1, 0.2, 0]}
    found = lines(sweep={name: values[name] for name in order})
    assert list(dict.fromkeys(group for group, _, _ in found)) == list(order)
    assert [label for group, label, _ in found if group == "beta"] == ["1", "0.2", "0"]
    assert [label for group, label, _ in found if group == "scheme"] == ["wmean", "minmax"]


def test_values_that_give_the_same_cells_are_one_line():
    found = lines(
        base={"rationales": {"labels": "gold"}}, sweep={"rationales.denoise": [None, "gold", "majority"]}
    )
    assert found == [("denoise", "null, gold", True), ("denoise", "majority", False)]


def test_a_sweep_that_changes_nothing_leaves_one_plain_line():
    assert lines(base={"method": "finetuning"}, sweep={"beta": [0, 0.1], "k": [0]}) == [
        ("", "finetuning", False)
    ]


def test_each_task_has_a_section_of_its_own_with_its_baseline():
    grid = Grid(
        name="g",
        base={"student": {"tokenizer": "t"}, "teacher": {"engine": "recorded", "path": "p"}},
        product={"method": ["dss", "finetuning"], "task.name": ["svamp", "arithmetic"]},
        baseline={"method": "dss"},
    )
    cells = expand(grid, "embedded")
    found = table_settings(grid, cells, [str(i) for i in range(len(cells))])
    assert [of(p) for p in found] == [
        ("svamp", "dss", True),
        ("svamp", "finetuning", False),
        ("arithmetic", "dss", True),
        ("arithmetic", "finetuning", False),
    ]


def test_a_variant_is_a_line_under_its_name():
    grid = Grid(name="g", variants={"DSS": {"method": "dss"}, "QCRD": {}}, baseline={"variant": "DSS"})
    cells = expand(grid, "embedded")
    found = table_settings(grid, cells, [str(i) for i in range(len(cells))])
    assert [of(p)[1:] for p in found] == [("DSS", True), ("QCRD", False)]
