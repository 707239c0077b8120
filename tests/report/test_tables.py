from dataclasses import replace

import pytest
from table_records import a_row, record

from qcrd.report.formats import render
from qcrd.report.tables import table
from qcrd.types import Prediction


def records(*accuracies):
    return [record(accuracy, seed) for seed, accuracy in enumerate(accuracies)]


def predictions(share, prefix="q", shift=0):
    return [Prediction(f"{prefix}{i}", "", "", (i + shift) % 100 < share) for i in range(1000)]


def lines(*rows):
    return table(rows, "grid", "embedded", "arithmetic").lines


def test_a_line_holds_the_means_over_its_seeds_and_names_its_cells():
    [line] = lines(a_row("", "qcrd", records(50.0, 52.0, 54.0), 1000))
    assert line.test.mean == 52
    assert [line.row.accuracy(key) for key in ("validation", "test_last", "test_best")] == [53, 51, 54]
    assert line.test.over == "seeds" and (len(line.row.finished), line.row.planned) == (3, 3)
    assert [each.id for each in line.row.finished] == ["50.0-0", "52.0-1", "54.0-2"] and line.marks == ()


def test_cells_that_diverged_failed_or_are_missing_are_in_no_mean_but_in_a_note():
    ended = [*records(50.0, 52.0), record(99.0, seed=7, status="diverged")]
    result = table(
        [
            a_row("", "dss", records(40.0), 1000),
            a_row("", "qcrd", ended, 1000, failed=["out of memory"] * 2, missing=1),
        ],
        *("grid", "embedded", "arithmetic"),
    )
    line = result.lines[1]
    assert line.test.mean == 51 and len(line.row.finished) == 2
    assert (len(line.row.records), line.row.planned, line.row.missing) == (3, 6, 1)
    assert result.notes == (
        "qcrd: 1 of 6 cells diverged (seed 7), not in the mean",
        "qcrd: 2 of 6 cells failed (out of memory), not in the mean",
        "qcrd: 1 of 6 cells not finished yet",
    )
    assert line.marks == (1, 2, 3) and result.lines[0].marks == ()


def test_cells_of_different_versions_or_devices_are_named_in_a_note():
    def trained(seed, torch, model="t5-small", **versions):
        found = replace(record(50.0, seed), settings={"student": {"checkpoint": model}})
        return replace(found, versions={"python": "3.11", "torch": torch, **versions})

    def noted(*cells):
        return table([a_row("", "qcrd", cells, 1000)], "grid", "embedded", "arithmetic").notes

    data = replace(trained(4, "2.13", data_commit="d"), settings={"task": {"name": "cqa", "source": None}})
    later = replace(data, id="later", versions={"data_commit": "e"})
    assert noted(data, later)[0].endswith("commit of the data of cqa d (1 cell), e (1 cell)")
    same = [trained(0, "2.13", student_commit="a"), trained(1, "2.13", "t5-base", student_commit="b")]
    assert noted(*same) == ()
    assert noted(*same, *same, trained(2, "2.12", student_commit="c"), record(50.0, 3)) == (
        "the cells were not all trained with the same: torch 2.13 (2 cells), 2.12 (1 cell); "
        "commit of t5-small a (1 cell), c (1 cell)",
    )


def test_a_line_without_a_finished_cell_has_no_figures():
    [line] = lines(a_row("", "qcrd", [], 1000, missing=3, published=69.0))
    assert line.test is line.row.accuracy("validation") is line.versus_published is None
    assert (line.row.finished, line.row.planned, line.row.published) == ([], 3, 69.0)


def rows_of(*shares, prefix="q", seeds=3, missing=0, group="beta", shift=0):
    """Lines of seeds that agree, so that only the questions vary; `shift` moves which each line answers."""
    return [
        a_row(
            *(group, str(share), records(*[share] * seeds), 1000),
            missing=missing,
            predictions=[predictions(share, prefix, shift * place)] * seeds,
        )
        for place, share in enumerate(shares)
    ]


def test_the_best_of_a_section_is_marked_where_it_is_better_than_every_other_complete_line():
    rows = [*rows_of(50.0, 55.0), *rows_of(60.0, missing=1), *rows_of(40.0, group="k")]
    assert [line.best for line in lines(*rows)] == [False, True, False, False]
    equal = lines(*rows_of(5.0, 5.0))
    assert [line.best for line in equal] == [False, False], "where all are equal none is best"


def test_nothing_is_marked_best_without_evidence():
    def marked(*rows):
        return any(line.best for line in lines(*rows))

    assert marked(*rows_of(50.0, 60.0))
    assert not marked(*rows_of(50.0, 52.0, shift=50)), "two points, each right where the other is wrong"
    assert not marked(*rows_of(30.0, 60.0, 61.0, shift=40)), "better than the base, not than the next"
    assert not marked(*rows_of(50.0, 90.0, seeds=1)), "one seed says nothing about settings"
    assert not marked(*rows_of(50.0), *rows_of(60.0, prefix="other"))
    assert not marked(a_row("", "a", records(50.0, 51.0), 10), a_row("", "b", records(90.0, 91.0), 10))
    assert not marked(*rows_of(50.0))


def test_the_table_says_what_bold_means_only_where_something_is():
    def about(*rows):
        return "; ".join(table(rows, "grid", "embedded", "arithmetic").about)

    assert "bold: better than every other line" in about(*rows_of(50.0, 60.0))
    assert "bold" not in about(*rows_of(50.0, 52.0, shift=50))


def test_lines_are_compared_with_the_base_of_their_section_on_the_same_questions():
    rows = [
        a_row("beta", "0.1", records(50.0), 1000, predictions=[predictions(50)]),
        a_row("beta", "0.2", records(60.0), 1000, base=True, predictions=[predictions(60)]),
        a_row("beta", "0.4", records(60.0), 1000),
        a_row("k", "0", records(50.0), 1000, predictions=[predictions(50)]),
        a_row("task", "svamp", records(60.0), 1000, base=True, predictions=[predictions(60)]),
        a_row("task", "cqa", records(50.0), 1000, predictions=[predictions(50, prefix="other")]),
    ]
    first, *others = lines(*rows)
    assert first.versus_base.points == pytest.approx(-10) and first.versus_base.test == "McNemar"
    assert [line.versus_base for line in others] == [None] * 5


def test_the_papers_figure_stands_beside_the_measured_one():
    [line] = lines(a_row("", "qcrd", records(66.5), 200, published=69.0))
    assert line.versus_published == -2.5


def test_a_figure_of_something_else_stands_for_the_order_and_says_what_differs():
    other = ("task arithmetic instead of SVAMP", "student from random weights instead of T5-base")
    rows = [
        a_row("m", label, records(30.0), 200, published=69.0, deviations=other, source="Table 6 (SVAMP)")
        for label in ("5", "10")
    ]
    found = table(rows, "grid", "embedded", "arithmetic")
    assert found.lines[0].row.published == 69.0 and found.lines[0].versus_published is None
    assert found.lines[0].row.deviations == other
    assert "paper: Table 6 (SVAMP)" in found.about and "only the order is comparable" in found.about[-1]
    assert found.notes == (f"deviates from the paper: {other[0]}, {other[1]}",)
    assert found.lines[0].marks == found.lines[1].marks == (1,), "what lines share is said once"
    alike = table([a_row("m", "5", records(30.0), 200, published=69.0)], "grid", "paper", "svamp")
    assert not any("only the order is comparable" in clause for clause in alike.about) and alike.notes == ()
    assert not alike.lines[0].row.deviations and alike.lines[0].versus_published == -39.0


def test_a_long_list_of_differences_is_short_in_the_note():
    many = tuple(f"setting {i}" for i in range(9))
    found = table(
        [a_row("m", "5", records(30.0), 200, published=69.0, deviations=many)], "g", "embedded", "t"
    )
    assert found.notes[0].endswith("setting 5, and 3 more") and found.lines[0].row.deviations == many


def test_the_table_says_where_validation_is_agreement_with_the_teacher():
    def about(agreement):
        row = a_row("", "dss", records(30.0), 200, agreement=agreement)
        return "; ".join(table([row], "grid", "embedded", "arithmetic").about)

    assert "agreement with the teacher's labels" in about(True) and "not comparable" in about(True)
    assert "agreement" not in about(False)


def test_the_table_says_what_its_intervals_are_over():
    def about(*rows):
        return "; ".join(table(rows, "grid", "embedded", "arithmetic").about)

    one, three = a_row("", "a", records(50.0), 1000), a_row("", "b", records(50.0, 51.0, 52.0), 1000)
    assert "over test questions" in about(one) and "over seeds" not in about(one)
    assert "over seeds" in about(three) and "over test questions" not in about(three)
    assert "over seeds" in about(one, three) and "over test questions" in about(one, three)
    assert "1000 test questions" in about(one)


def test_sections_keep_the_order_of_their_rows():
    rows = [a_row(group, label, [], 10) for group, label in (("k", "0"), ("beta", "1"), ("k", "2"))]
    sections = table(rows, "grid", "embedded", "arithmetic").sections()
    assert [(group, [line.setting.label for line in own]) for group, own in sections] == [
        ("k", ["0", "2"]),
        ("beta", ["1"]),
    ]


def compared(*shares):
    """Three seeds of 1,000 questions each, the first setting being the base."""
    return [
        a_row(
            *("", f"s{i}", records(share, share, share), 1000),
            base=i == 0,
            predictions=[predictions(share)] * 3,
        )
        for i, share in enumerate(shares)
    ]


def test_p_values_are_corrected_for_the_comparisons_of_the_whole_table():
    base, near, far = lines(*compared(50, 51, 60))
    assert near.corrected_p == near.versus_base.p > 0 and far.corrected_p == 2 * far.versus_base.p
    assert base.corrected_p is None and far.differs and not base.differs


def test_no_evidence_of_a_difference_is_said_where_it_holds():
    noisy = [[Prediction(f"q{i}", "", "", (i + turn) % 2 == 0) for i in range(1000)] for turn in (0, 1)]
    rows = [
        *compared(50, 90),
        a_row("", "noisy", records(50.0, 50.0), 1000, predictions=noisy),
    ]
    found = table(rows, "grid", "embedded", "arithmetic")
    assert [line.differs for line in found.lines] == [False, True, False]
    assert found.findings == (
        "Different from the base (p < 0.05): s1 (+40.0).",
        "No evidence of a difference from the base for 1 other setting.",
    )
    assert any("corrected for 2 comparisons (Holm)" in clause for clause in found.about)
    alike = table([rows[0], rows[2]], "grid", "embedded", "arithmetic")
    assert alike.findings == ("No evidence of a difference from the base for 1 setting.",)


def test_one_seed_withholds_the_verdict_on_settings():
    rows = [
        a_row("", "dss", records(50.0), 1000, base=True, predictions=[predictions(50)]),
        a_row("", "qcrd", records(60.0), 1000, predictions=[predictions(60)]),
        a_row("", "other", records(50.0), 1000, predictions=[predictions(50)]),
    ]
    found = table(rows, "grid", "embedded", "arithmetic")
    assert not any(line.differs for line in found.lines) and found.lines[1].students_differ
    assert found.findings == (
        "These students and the base's differ on these questions (p < 0.05): qcrd (+10.0). With one seed "
        "each that is no evidence about the settings.",
        "No evidence of a difference from the base for 1 other setting.",
    )
    assert any("these students on these questions, not about their settings" in each for each in found.about)


def test_several_seeds_give_a_verdict_on_settings_and_none_on_students():
    found = table(compared(50, 60), "grid", "embedded", "arithmetic")
    assert found.lines[1].differs and not found.lines[1].students_differ
    assert "students" not in " ".join(found.findings) and "these students" not in " ".join(found.about)


def test_what_a_comparison_could_have_detected_stands_beside_it():
    found = table(compared(50, 60), "grid", "embedded", "arithmetic")
    base, line = found.lines
    assert base.versus_base is None and 0 < line.versus_base.detectable < 10
    assert any(clause.startswith("detectable: the least true difference") for clause in found.about)


def test_the_order_of_the_settings_is_held_against_the_papers():
    rows = [
        a_row("k", str(i), records(accuracy), 100, published=figure)
        for i, (accuracy, figure) in enumerate([(30.0, 67.0), (34.0, 69.0), (33.0, 68.5), (20.0, 66.0)])
    ]
    lone = a_row("m", "5", records(30.0), 100, published=69.0)
    found = table([*rows, lone, a_row("k", "9", [], 100, published=1.0)], "grid", "embedded", "arithmetic")
    [order] = found.agreements
    assert (order.group, order.tau, order.n) == ("k", 1.0, 4)
    assert (
        found.findings[0].startswith("k: order of the 4 settings") and "the same order" in found.findings[0]
    )


def test_the_majority_of_sampled_answers_has_a_column_where_any_line_has_it():
    greedy = records(50.0, 54.0)
    voted = [replace(r, accuracy=r.accuracy | {"test_votes": r.accuracy["test"] + 7}) for r in greedy]
    rows = [a_row("", "dss", voted, 1000), a_row("", "qcrd", records(60.0, 62.0), 1000)]
    both = table(rows, "grid", "embedded", "arithmetic")
    assert [line.voted and line.voted.mean for line in both.lines] == [59.0, None]
    assert "| maj@n" in render(both, "md") and "59.0 ±" in render(both, "md")
    assert "maj@n" not in render(table(rows[1:], "grid", "embedded", "arithmetic"), "md")
