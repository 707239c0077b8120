"""The share of negatives that push, beside each accuracy, and what did nothing."""

from dataclasses import replace

import pytest
from table_records import a_row, record

from qcrd.report.activity import active, idle
from qcrd.report.columns import ACTIVE, header, rows
from qcrd.report.formats import comma_separated, markdown
from qcrd.report.tables import table


def cell(seed=0, beta=0.2, played=True, method="qcrd", accuracy=50.0, **counted):
    section = {"beta": beta, "delta": 4.0}
    settings = {"seed": seed, "method": method, "contrastive": section}
    settings |= {"edit": section if method == "edit" else {"beta": 0.05, "delta": 3.0}}
    statistics = {f"negatives/{name}": value for name, value in counted.items()}
    statistics |= {"selfplay/tokens": 30.0} if played else {}
    return replace(record(accuracy, seed), settings=settings, statistics=statistics)


BUSY = {"chosen": 900, "active": 0.8, "selfplay_chosen": 0.4, "teacher_active": 0.9, "selfplay_active": 0.6}
SWITCHED_OFF = BUSY | {"active": 0.004, "teacher_active": 0.006, "selfplay_active": 0.0}


def shown(*lines):
    return table(lines, "grid", "embedded", "arithmetic")


def test_the_shares_are_means_over_the_cells_that_have_them():
    found = [cell(**BUSY), cell(**(BUSY | {"teacher_active": 0.5})), cell(chosen=0)]
    assert active(found, "teacher") == pytest.approx(0.7)
    assert active([cell(chosen=0), record(1.0)], "teacher") is None


def test_a_table_has_the_column_where_a_line_has_negatives_and_says_what_it_is():
    plain, ours = a_row("", "dss", [record(40.0)], 1000), a_row("", "qcrd", [cell(**BUSY)], 1000)
    assert ACTIVE not in header(shown(plain))
    both = shown(plain, ours)
    at = header(both).index(ACTIVE)
    assert [row[at] for row in rows(both, both.lines)] == ["", "90% / 60%"]
    assert any("the others have no gradient" in clause for clause in both.about)
    assert "active_teacher,active_selfplay" in comma_separated(both)
    assert both.notes == ()
    none_played = shown(a_row("", "qcrd", [cell(played=False, **(BUSY | {"selfplay_chosen": 0.0}))], 1000))
    assert "90% / 60%" in markdown(none_played) and none_played.notes == ()


def test_what_did_nothing_is_named():
    lines = a_row("tau", "2", [cell(**SWITCHED_OFF), cell(1, **BUSY), cell(2, **SWITCHED_OFF)], 1000)
    assert shown(lines).notes == (
        "tau 2: in 2 of 3 cells the negatives did nothing, less than 1% of the chosen were within the margin "
        "δ = 4",
    )
    assert shown(lines).lines[0].marks == (1,)


@pytest.mark.parametrize(
    "settings, counted, said",
    [
        ({}, BUSY | {"selfplay_active": 0.01}, "self-play's negatives did nothing"),
        ({}, BUSY | {"selfplay_chosen": 0.001}, "self-play's negatives did nothing"),
        ({"played": False}, BUSY | {"selfplay_active": 0.01}, None),
        ({}, BUSY | {"selfplay_chosen": 0.999}, "the teacher's negatives did nothing"),
        ({}, {"chosen": 0}, "no negative"),
        ({"beta": 0.0}, SWITCHED_OFF, None),
        ({"method": "edit", "played": False}, {"chosen": 9, "active": 0.0}, "the negatives did nothing"),
        ({}, {}, None),
    ],
)
def test_each_term_that_the_loss_counts_is_looked_at(settings, counted, said):
    found = idle(cell(**settings, **counted))
    assert (said is None and found is None) or said in found
