import csv
import io
import json
from dataclasses import replace

import pytest
from table_records import a_row

from qcrd.report.formats import FORMATS, render
from qcrd.report.tables import table
from qcrd.types import CellRecord, Prediction


def record(accuracy, seed, status="done"):
    figures = {"test": accuracy, "validation": 61.0, "test_last": 59.0, "test_best": 63.0}
    return CellRecord(f"id{seed}", "cell", status, {}, {"seed": seed}, figures, 300, 1.0)


def predictions(share):
    return [Prediction(f"q{i}", "", "", i < share) for i in range(100)]


@pytest.fixture
def sweep():
    low = a_row(
        "contrastive.beta", "0.1", [record(50.0, 0), record(54.0, 1)], 100, predictions=[predictions(52)]
    )
    base = a_row(
        *("contrastive.beta", "a_b|c & 50%", [record(60.0, 2)], 100),
        base=True,
        published=69.0,
        predictions=[predictions(60)],
    )
    lacking = a_row("selfplay.k", "0", [record(1.0, 3, "diverged")], 100, missing=1)
    return table([low, base, lacking], "my_grid", "embedded", "arithmetic")


def test_markdown_reads_in_a_terminal(sweep):
    text = render(sweep, "md")
    assert text.startswith("## my_grid\n\npreset embedded, task arithmetic; 100 test questions")
    assert "### contrastive.beta" in text and "### selfplay.k" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows[:4]}) == 1, "columns do not line up"
    assert "| 52.0 ± 25.4 " in rows[2] and "| 2/2 " in rows[2] and "| -8.0" in rows[2]
    assert r"| a_b\|c & 50% (base) | 60.0 ± 9.8 " in rows[3] and "| 69.00 | -9.0" in rows[3]
    assert "| - [1] [2] " in text
    assert text.endswith("[2] selfplay.k 0: 1 of 2 cells not finished yet\n")


def test_last_and_best_on_test_stand_beside_the_headline(sweep):
    for format in ("md", "latex"):
        rows = [
            line for line in render(sweep, format).splitlines() if "validation" in line and "seeds" in line
        ]
        names = [name.strip(" |\\") for name in rows[-1].replace("&", "|").strip("|").split("|")]
        assert names[:6] == ["setting", "test accuracy", "seeds", "validation", "last", "best"]
    assert "| 61.0       | 59.0 | 63.0 |" in render(sweep, "md")
    assert any("best on test" in clause for clause in sweep.about)


def test_a_figure_that_is_not_comparable_has_no_difference_beside_it():
    row = a_row("m", "5", [record(50.0, 0)], 100, published=69.0, deviations=("another task",))
    text = render(table([row], "g", "embedded", "arithmetic"), "md")
    assert "| paper |" in text and "| 69.00 |" in text and "vs paper" not in text
    assert "| 5 " in text and "[1]" in text and "[1] deviates from the paper: another task" in text


def test_only_what_is_better_than_all_others_is_bold():
    rows = [
        a_row("", label, [record(share, i) for i in range(3)], 100, predictions=[predictions(share)] * 3)
        for label, share in (("dss", 40), ("qcrd", 70))
    ]
    found = table(rows, "g", "embedded", "arithmetic")
    assert "| **70.0 ± 0.0** " in render(found, "md") and r"\textbf{70.0 $\pm$ 0.0}" in render(found, "latex")
    assert render(found, "md").count("**") == 2
    one = table(
        [replace(row, records=row.records[:1], predictions=row.predictions[:1]) for row in rows], *"gpt"
    )
    assert "**" not in render(one, "md") and "textbf" not in render(one, "latex")


def test_p_of_one_seed_says_that_it_is_of_these_students():
    def shown(seeds, format):
        rows = [
            a_row(
                *("", label, [record(share, i) for i in range(seeds)], 100),
                base=label == "dss",
                predictions=[predictions(share)] * seeds,
            )
            for label, share in (("dss", 40), ("qcrd", 70))
        ]
        return render(table(rows, "g", "embedded", "arithmetic"), format)

    assert "| <0.001, these students | 14.9       |" in shown(1, "md")
    assert "| <0.001 | " in shown(3, "md") and "no evidence about the settings" not in shown(3, "md")
    for format in ("md", "latex", "json"):
        assert "no evidence about the settings" in shown(1, format)
    line = list(csv.DictReader(io.StringIO(shown(1, "csv"))))[1]
    assert float(line["versus_base_detectable"]) == pytest.approx(14.94, abs=0.01)
    assert json.loads(shown(3, "json"))["lines"][1]["versus_base"]["detectable"] > 0


def test_columns_without_any_content_are_left_out():
    text = render(table([a_row("", "qcrd", [record(50.0, 0)], 100)], "g", "embedded", "arithmetic"), "md")
    assert "paper" not in text and "vs base" not in text and "###" not in text and "**" not in text


def test_csv_has_one_record_a_setting_and_says_which_preset(sweep):
    low, base, lacking = csv.DictReader(io.StringIO(render(sweep, "csv")))
    assert (low["grid"], low["preset"], low["task"], low["group"]) == (
        *("my_grid", "embedded", "arithmetic", "contrastive.beta"),
    )
    assert float(low["test_accuracy"]) == 52 and low["interval_over"] == "seeds" and low["cells"] == "id0 id1"
    assert float(low["versus_base"]) == pytest.approx(-8) and base["versus_base"] == ""
    assert base["label"] == "a_b|c & 50%" and base["base"] == "1" and float(base["versus_published"]) == -9
    assert float(low["versus_base_low"]) < -8 < float(low["versus_base_high"]) < 0
    assert 0 < float(low["versus_base_p"]) == float(low["versus_base_p_holm"]) and low["published_in"] == ""
    assert lacking["test_accuracy"] == "" and (lacking["diverged"], lacking["missing"]) == ("1", "1")
    assert float(low["test_best"]) == 63


def test_json_leads_from_a_figure_to_its_cells(sweep):
    content = json.loads(render(sweep, "json"))
    assert content["grid"] == "my_grid" and len(content["lines"]) == 3 and len(content["notes"]) == 2
    line = content["lines"][0]
    assert line["cells"] == ["id0", "id1"] and line["test"]["mean"] == 52 and line["test_best"] == 63
    assert content["lines"][2]["test"] is None


def test_latex_escapes_everything_that_means_something_to_it(sweep):
    text = render(sweep, "latex")
    assert r"a\_b\textbar{}c \& 50\% (base) & 60.0 $\pm$ 9.8" in text and r"my\_grid" in text
    assert r"$-$8.0" in text and "±" not in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {row.replace(r"\&", "").count("&") for row in rows} == {10}
    assert r"{[}1]" in text and r"p $\ge$ 0.05" in text
    assert text.count("{") == text.count("}") and text.count(r"\begin") == text.count(r"\end")


def test_an_unknown_format_is_refused(sweep):
    with pytest.raises(ValueError, match="allowed: md, csv, json, latex"):
        render(sweep, "pdf")


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_table_can_be_written(format):
    assert render(table([], "g", "embedded", "arithmetic"), format)


def test_what_a_setting_costs_stands_beside_where_it_is_asked_for():
    def costing(seed, **cost):
        counts = {f"cost/{name}": value for name, value in cost.items()}
        return replace(record(50.0, seed), seconds=90.0, statistics=counts)

    both = [
        costing(0, teacher_tokens=1000, student_tflop=2.0),
        costing(1, teacher_tokens=2000, student_tflop=3.0),
    ]
    dear = a_row("", "dear", both, 100)
    older = a_row("", "older", [costing(0, teacher_tokens=10), costing(1)], 100)
    found = table([dear, older], "g", "embedded", "arithmetic", cost=True)
    text = render(found, "md")
    assert "| teacher tokens | student TFLOP | minutes |" in text
    assert "| 1,500          | 2.5           | 1.5     |" in text
    assert "| -              | -             | 1.5     |" in text, "what some did not count has no mean"
    assert "wall time" in text
    assert "TFLOP" not in render(replace(found, cost=False), "md").replace(found.about[-1], "")
    lines = list(csv.DictReader(io.StringIO(render(found, "csv"))))
    assert (lines[0]["student_tflop"], lines[1]["student_tflop"]) == ("2.5", "")
