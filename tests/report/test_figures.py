"""Figures of a table's sections, looked at as matplotlib's own objects and as files."""

import pytest
from table_records import a_row

from qcrd.report.drawing import file_bytes
from qcrd.report.figures import draw
from qcrd.report.tables import table
from qcrd.types import CellRecord


def row(label, *accuracies, **more):
    records = [
        CellRecord(f"id{seed}", "cell", "done", {}, {"seed": seed}, {"test": a, "validation": a}, 3, 1.0)
        for seed, a in enumerate(accuracies)
    ]
    return a_row(more.pop("group", "tau"), label, records, 100, **more)


def drawn(*rows):
    return list(draw(table(rows, "g", "embedded", "arithmetic")))


def points(axis):
    """Centres of the error bars: what was measured."""
    return sorted(tuple(float(v[0]) for v in bar[0].get_data()) for bar in axis.containers)


def test_a_swept_number_is_a_curve_with_the_papers_points_in_it():
    rows = [
        row("0", 40.0, 42.0, factor="selfplay.tau", published=41.5),
        row("1.5", 50.0, 52.0, factor="selfplay.tau", published=50.5, base=True),
    ]
    (found,) = drawn(*rows)
    (axis,) = found.figure.axes
    assert points(axis) == [(0, 41), (1, 51)]
    papers = next(line for line in axis.get_lines() if line.get_label() == "paper")
    assert list(papers.get_ydata()) == [41.5, 50.5]
    assert axis.get_xlabel() == "τ, temperature of self-play" and axis.get_ylabel() == "test accuracy (%)"
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["0", "1.5\n(base)"]
    assert "preset embedded" in axis.get_title(loc="left")


def test_the_papers_figures_of_other_data_have_an_axis_of_their_own():
    (found,) = drawn(row("mean", 40.0, published=65.0, deviations=("another task",)), row("minmax", 42.0))
    ours, papers = found.figure.axes
    assert len(points(ours)) == 2 and next(line.get_xdata() for line in papers.get_lines()) == [65.0]


def test_training_sizes_are_a_curve_for_each_method():
    rows = [
        row(f"{method} {size}", float(size), method=method, train=size, group="")
        for method in ("dss", "qcrd")
        for size in (90, 30, 60)
    ]
    (found,) = drawn(*rows)
    (axis,) = found.figure.axes
    assert points(axis) == sorted((s, s) for s in (30, 60, 90) for _ in range(2))
    assert axis.get_xlabel() == "training questions" and axis.get_xscale() == "log"


def test_a_section_without_results_has_no_figure_and_names_are_file_names():
    rows = [row("0", group="a: b"), row("1", 40.0, group="A B"), row("2", 40.0, group="a-b")]
    assert [found.name for found in drawn(*rows)] == ["a-b", "a-b-2"]


@pytest.mark.parametrize(("format", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_same_table_gives_the_same_file(format, magic):
    files = {file_bytes(drawn(row("0", 40.0, 41.0))[0].figure, format) for _ in range(2)}
    assert len(files) == 1 and next(iter(files)).startswith(magic)


def test_two_crossed_factors_are_a_heat_map_with_each_pairs_accuracy():
    rows = [
        row(f"beta={b} tau={t}", a, group="", combinations=[{"method": "qcrd", "beta": b, "tau": t}])
        for b, t, a in (("0", "1", 40.0), ("0", "2", 41.0), ("0.2", "1", 42.5), ("0.2", "2", 39.0))
    ]
    dots, heat = drawn(*rows)
    assert (dots.name, heat.name) == ("settings", "settings-map")
    axis = heat.figure.axes[0]
    said = {(text.get_position(), text.get_text()) for text in axis.texts}
    assert said == {((0.5, 0.5), "40.0"), ((1.5, 0.5), "41.0"), ((0.5, 1.5), "42.5"), ((1.5, 1.5), "39.0")}
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("beta", "tau")
    assert b"<image" not in file_bytes(heat.figure, "svg")


def test_a_setting_that_stands_for_several_pairs_fills_all_of_them_and_one_factor_is_no_map():
    alike = [{"method": "dss", "beta": "0"}, {"method": "dss", "beta": "1"}]
    rows = [
        row("dss", 40.0, group="", combinations=alike),
        row("qcrd beta=0", 41.0, group="", combinations=[{"method": "qcrd", "beta": "0"}]),
        row("qcrd beta=1", group="", combinations=[{"method": "qcrd", "beta": "1"}]),
    ]
    heat = drawn(*rows)[1]
    assert sorted(text.get_text() for text in heat.figure.axes[0].texts) == ["40.0", "40.0", "41.0"]
    assert [each.name for each in drawn(*rows[1:])] == ["settings"]
