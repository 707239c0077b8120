import pytest

from qcrd.report.paper import TABLES, published


def test_figures_are_found_by_what_their_table_varies():
    assert published("table1", method="qcrd", task="svamp") == 69.0
    assert published("table2", method="dss", task="esnli") == 84.23
    assert published("table3", task="anli1", method="vote") == 80.15
    assert published("table6", m=20) == 68.5 and published("table6", k=0) == 67.0
    assert published("table7", tau=1.0) == published("table7", tau=1) == 67.5
    assert published("table9", tau=0.7, task="cqa", better="both") == 6


def test_the_tables_have_all_printed_figures():
    sizes = {"table1": 16, "table2": 12, "table3": 12, "table4": 4, "table5": 5, "table6": 8, "table7": 5}
    assert {name: len(entries) for name, entries in TABLES.items()} == sizes | {"table9": 24}


def test_qcrds_default_has_one_figure_in_every_table_of_svamp():
    default = published("table1", method="qcrd", task="svamp")
    assert default == published("table4", ed=True, nk=True, qj=True) == published("table5", scheme="minmax")
    assert default == published("table6", m=5) == published("table6", k=1) == published("table7", tau=1.5)


def test_every_judgement_is_of_fifty_pairs():
    for tau in (0, 0.7):
        for task in ("svamp", "cqa", "anli1", "esnli"):
            assert (
                sum(published("table9", tau=tau, task=task, better=b) for b in ("dss", "both", "qcrd")) == 50
            )


def test_what_the_paper_does_not_report_is_none():
    assert published("table2", method="single_task", task="svamp") is None
    assert published("table6", m=3) is None


def test_a_wrong_table_or_key_is_refused():
    with pytest.raises(ValueError, match="allowed: table1"):
        published("table8", m=1)
    with pytest.raises(ValueError, match=r"keyed by \(k\) or \(m\)"):
        published("table6", samples=5)
