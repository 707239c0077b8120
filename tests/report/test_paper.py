import pytest

from qcrd.config import Cell
from qcrd.config.presets import EMBEDDED, PAPER
from qcrd.report.paper import TABLES, counterpart, published


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


OPENAI = {"teacher__engine": "openai", "teacher__model": "gpt-3.5-turbo"}


def papers(**changes):
    """The paper's own cell, teacher included, with changes as `section__name`."""
    return changed({key: dict(section) for key, section in PAPER.items()}, OPENAI | changes)


def found(*arguments):
    """The paper's figure and whether nothing differs from what it is of."""
    counter = counterpart(*arguments)
    return counter and (counter.figure, not counter.deviations)


def deviations(*tables, **changes):
    """In what a changed cell of the paper's is not what the figure is of."""
    return counterpart(papers(**changes), tables).deviations


def changed(tree, changes):
    for path, value in changes.items():
        section, _, name = path.partition("__")
        tree[section] = {**tree.get(section, {}), name: value} if name else value
    return Cell.model_validate(tree)


ALL = [table for table in TABLES if table != "table9"]
ED = {"contrastive__beta": 0.0, "selfplay__k": 0, "discriminator__enabled": False}


@pytest.mark.parametrize(
    ("changes", "figure"),
    [
        ({}, 69.0),
        (ED, 67.0),
        ({"discriminator__enabled": False}, 68.5),
        ({"method": "dss"}, 65.5),
        ({"method": "finetuning"}, 63.0),
        ({"method": "single_task"}, 59.0),
        ({"contrastive__scheme": "mean"}, 65.0),
        ({"rationales__m": 20}, 68.5),
        ({"selfplay__k": 3}, 66.0),
        ({"task__test": 200, "teacher__model": "gpt-3.5-turbo-0613"}, 69.0),
        ({"selfplay__tau": 0.7}, 64.5),
        ({"task__train": 720, "method": "dss"}, 65.5),
    ],
)
def test_a_cell_finds_the_papers_figure_of_the_same_setting(changes, figure):
    assert found(papers(**changes), ALL) == (figure, True)


def test_the_table_says_which_student_and_labels_are_comparable():
    small = papers(student__checkpoint="google/t5-v1_1-small")
    assert found(small, ["table2"]) == (50.5, True)
    assert found(small, ["table1"]) == (69.0, False)
    labels = papers(rationales__labels="teacher", task__name="cqa")
    assert found(labels, ["table3"]) == (59.80, True)
    assert found(labels, ["table1"]) == (63.64, False)
    assert found(papers(task__name="cqa"), ["table3"]) == (59.80, False)
    assert found(papers(task__train=100, method="dss"), ["table1"]) == (65.5, False)
    assert found(papers(student__checkpoint="google/flan-t5-base"), ["table1"]) == (69.0, False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher__model": "gpt-4"}, "teacher gpt-4 instead of gpt-3.5-turbo"),
        ({"teacher__temperature": 1.0}, "teacher.temperature 1 instead of 0.7"),
        ({"training__steps": 30}, "training.steps 30 instead of 10000"),
        ({"training__batch": 64}, "training.batch 64 instead of 32"),
        ({"training__lr": 1e-3}, "training.lr 0.001 instead of 5e-05"),
        ({"discriminator__loss": "printed"}, "discriminator.loss printed instead of bounded"),
        ({"discriminator__checkpoint": None}, "discriminator from random weights instead of T5-base"),
        ({"task__test": 50}, "50 test questions instead of 200"),
        ({"task__train": 90}, "90 train questions instead of 720"),
        ({"student__checkpoint": "google/flan-t5-base"}, "student google/flan-t5-base instead of T5-base"),
        ({"student__dropout": 0.0}, "student.dropout 0 instead of 0.1"),
        ({"selection__diversity": True}, "another selection"),
        ({"rationales__denoise": "majority"}, "rationales.denoise majority instead of gold"),
    ],
)
def test_each_altered_setting_is_said_and_takes_the_difference_away(changes, said):
    assert deviations("table1", **changes) == (said,)


def test_what_a_method_does_not_read_or_the_paper_does_not_define_is_no_difference():
    qwen = {"teacher__engine": "vllm", "teacher__model": "Qwen/Qwen2.5-7B-Instruct"}
    assert deviations("table1", method="finetuning", discriminator__loss="printed", **qwen) == ()
    assert deviations("table1", training__iteration=100, student__precision="fp32") == ()
    assert deviations("table1", task__source="/data/datasets.zip", seed=7) == ()


def test_another_kind_of_labels_is_a_difference_in_each_direction():
    assert (
        deviations("table1", rationales__labels="teacher")[0] == "the teacher's labels instead of gold ones"
    )
    assert deviations("table3", task__name="cqa")[0] == "gold labels instead of the teacher's ones"


def test_without_self_play_the_teachers_negatives_are_kept_which_the_papers_figure_may_not_have():
    assert published("table6", k=0) == published("table4", ed=True, nk=False, qj=False)
    (said,) = deviations("table6", selfplay__k=0)
    assert said.startswith("the teacher's negatives kept") and "Table 4" in said
    assert deviations("table6", selfplay__k=2) == () == deviations("table4", **ED)


def test_a_figure_says_where_it_stands_and_of_what_it_is():
    small = papers(student__checkpoint="google/t5-v1_1-small", task__name="esnli")
    assert counterpart(small, ["table2"]).source == "Table 2 (e-SNLI, T5-small, gold labels)"
    labels = papers(rationales__labels="teacher", task__name="cqa")
    assert counterpart(labels, ["table3"]).source == "Table 3 (CQA, T5-base, the teacher's labels)"
    stand_in = changed({key: dict(section) for key, section in EMBEDDED.items()}, {})
    assert counterpart(stand_in, ["table5"]).source == "Table 5 (SVAMP, T5-base, gold labels)"


def test_a_grid_that_names_no_table_has_no_figures():
    assert found(papers(), []) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"contrastive__beta": 0.5},
        {"rationales__m": 3},
        {"rationales__m": 10, "selfplay__k": 2},  # the paper varies one at a time
        {"discriminator__enabled": False, "contrastive__scheme": "mean"},
        {"rationales__baseline_m": 5, "method": "dss"},
    ],
)
def test_a_setting_that_the_paper_does_not_report_has_no_figure(changes):
    assert found(papers(**changes), ALL) is None


def test_on_another_task_a_sweep_has_the_papers_figures_without_a_claim():
    def embedded(factor, **changes):
        return found(changed({key: dict(section) for key, section in EMBEDDED.items()}, changes), ALL, factor)

    assert embedded("rationales.m") == (69.0, False)
    assert embedded("rationales.m", rationales__m=10) == (68.0, False)
    assert embedded("contrastive.scheme", contrastive__scheme="wmean") == (66.0, False)
    assert embedded(None, method="dss") == (65.5, False)
    assert embedded("rationales.m", rationales__m=10, selfplay__k=0) is None
    assert embedded("contrastive.beta") is None
    assert embedded("rationales.m", method="dss", rationales__baseline_m=5) is None
