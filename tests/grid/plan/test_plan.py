import math
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcrd.cell.identity import cell_id
from qcrd.config import Cell, Grid
from qcrd.errors import ConfigError
from qcrd.grid.plan.expansion import FactorRow, expand, required_samples
from qcrd.grid.plan.factors import ALIASES, setting_paths, short_name, value_text
from qcrd.grid.plan.file import read_grid
from qcrd.grid.plan.sizes import data_sizes
from qcrd.methods import METHODS


def planned(preset="embedded", **settings):
    return expand(Grid(name="test", **settings), preset)


def names(preset="embedded", **settings):
    return [cell.name for cell in planned(preset, **settings)]


def test_a_grid_without_factors_is_its_base():
    [cell] = planned()
    assert (cell.name, cell.factors, cell.rows) == ("qcrd seed=0", {}, (FactorRow({}),))


def test_what_is_set_later_counts():
    cells = planned(
        base={"training": {"steps": 7}, "contrastive": {"beta": 0.9, "delta": 3.0}},
        product={"contrastive.beta": [0.5]},
        sweep={"contrastive.delta": [2]},
        seeds=[4],
    )
    swept = cells[1].cell.settings
    assert swept.training.lr == 5e-3  # preset
    assert swept.training.steps == 7  # base
    assert swept.contrastive.beta == 0.5  # product
    assert swept.contrastive.delta == 2.0  # sweep
    assert swept.seed == 4


def test_a_product_has_every_combination():
    assert names(
        product={"method": ["dss", "qcrd"], "m": [1, 5]}, base={"rationales": {"labels": "gold"}}
    ) == [
        "dss m=1 seed=0",
        "qcrd m=1 seed=0",
        "qcrd m=5 seed=0",
    ]  # dss reads baseline_m, so it is one cell


def test_targets_make_two_cells_of_a_method_that_is_available_in_both_forms_and_one_of_the_others():
    forms = {"student.targets": ["multitask", "sequence"]}
    cells = planned(product={"method": list(METHODS), **forms}, base={"rationales": {"labels": "gold"}})
    counts = {name: sum(c.cell.method.name == name for c in cells) for name in METHODS}
    assert counts == {"finetuning": 1, "single_task": 1, "dss": 1, "qcrd": 2, "morsd": 2, "edit": 2}
    with pytest.raises(ConfigError, match="'both'; allowed: 'multitask' or 'sequence'"):
        planned(base={"student": {"targets": "both"}})


def test_a_sweep_goes_around_the_base_which_is_there_once():
    cells = planned(sweep={"beta": [0, 0.2, 1], "delta": [4, 6]})
    assert [c.name for c in cells] == [
        "qcrd seed=0",
        "qcrd beta=0 seed=0",
        "qcrd beta=1 seed=0",
        "qcrd delta=6 seed=0",
    ]
    assert cells[0].rows == (
        FactorRow({}),
        FactorRow({}, "contrastive.beta", 0.2),
        FactorRow({}, "contrastive.delta", 4.0),
    )
    assert cells[1].factors == {"contrastive.beta": 0.0}


def test_a_sweep_goes_around_each_combination_of_a_product():
    cells = planned(product={"scheme": ["minmax", "mean"]}, sweep={"k": [0]})
    assert [c.name for c in cells] == [
        "qcrd scheme=minmax seed=0",
        "qcrd scheme=minmax k=0 seed=0",
        "qcrd scheme=mean seed=0",
        "qcrd scheme=mean k=0 seed=0",
    ]
    assert cells[3].rows == (FactorRow({"contrastive.scheme": "mean"}, "selfplay.k", 0),)


def test_a_baseline_beside_a_sweep_of_what_it_does_not_read_is_one_cell_in_every_row():
    cells = planned(product={"method": ["finetuning", "qcrd"]}, sweep={"beta": [0, 0.2, 1]})
    baseline = [c for c in cells if c.cell.method.name == "finetuning"]
    assert len(baseline) == 1
    assert [row.value for row in baseline[0].rows] == [None, 0.0, 0.2, 1.0]


def test_the_first_seeds_whole_table_comes_first():
    assert names(sweep={"beta": [0]}, seeds=[7, 3]) == [
        "qcrd seed=7",
        "qcrd beta=0 seed=7",
        "qcrd seed=3",
        "qcrd beta=0 seed=3",
    ]


@pytest.mark.parametrize(("preset", "count"), [("embedded", 1), ("paper", 3)])
def test_each_preset_can_have_its_own_seeds(preset, count):
    assert len(names(preset, presets={"paper": {"seeds": 3}})) == count


def test_names_and_ids_are_unique():
    cells = planned(
        product={"method": ["dss", "qcrd"], "training.lr": [1e-3, 1e-2], "discriminator.lr": [1e-3, 1e-2]},
        sweep={"training.clip": [None, 2.0], "discriminator.enabled": [False]},
        seeds=2,
    )
    assert len({c.name for c in cells}) == len(cells)
    assert len({cell_id(c.cell.settings, "d", "t") for c in cells}) == len(cells)


def test_a_value_is_shown_as_people_write_it_and_as_no_other_value():
    shown = {0.2: "0.2", 1e-4: "0.0001", 3: "3", 1e6: "1e+06", "minmax": "minmax", "no judge": "no judge"}
    assert {value: value_text(value) for value in shown} == shown
    for one, other in (
        (0.1, 0.10000001),
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (0.5, "0.5"),
        (1e-7, "1e-07"),
    ):
        assert value_text(one) != value_text(other)


TEXT = st.text(st.sampled_from("ab1 =.'\""), max_size=6) | st.sampled_from(
    ["null", "1 seed=0", "a revision=b"]
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(TEXT.filter(str.strip), min_size=1, max_size=3, unique=True),
    st.lists(st.none() | TEXT, min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from([0.1, 0.10000001, 0.100000012, 1.0, 1e-7]), min_size=1, max_size=3, unique=True),
)
def test_settings_that_differ_give_cells_of_different_names(models, revisions, betas):
    named = {f"{text} ": {"training.clip": 1.0 + i} for i, text in enumerate(models)}
    cells = planned(
        product={"teacher.model": models, "teacher.revision": revisions},
        sweep={"contrastive.beta": betas},
        variants=named,
        seeds=2,
    )
    assert len({c.name for c in cells}) == len(cells)
    assert all(c.is_called(c.name) for c in cells)


def test_short_names_are_unambiguous():
    assert len({short_name(path) for path in setting_paths()}) == len(setting_paths())
    assert set(ALIASES.values()) <= set(setting_paths())
    assert (short_name("training.lr"), short_name("discriminator.lr")) == ("lr", "discriminator.lr")


def test_environment_variables_are_replaced_in_places_and_kept_in_rows(monkeypatch):
    monkeypatch.setenv("QCRD_TEST_DATA", "/data")
    [one, two] = planned(
        base={"task": {"source": "$QCRD_TEST_DATA/a"}, "teacher": {"engine": "recorded"}},
        product={"teacher.path": ["${QCRD_TEST_DATA}/b", "/c"]},
    )
    first, second = one.cell.settings, two.cell.settings
    assert (first.task.source, first.teacher.path, second.teacher.path) == (
        "/data/a",
        "/data/b",
        "/c",
    )
    assert one.factors == {"teacher.path": "${QCRD_TEST_DATA}/b"}


def test_the_teacher_is_sampled_once_for_the_largest_m():
    cells = [
        c.cell.settings
        for c in planned(product={"method": ["dss", "qcrd"]}, sweep={"m": [1, 20], "k": [0, 3], "tau": [0]})
    ]
    [need] = required_samples(cells)
    assert (need.task, need.teacher, need.m) == (cells[0].task, cells[0].teacher, 20)


def test_other_teachers_and_tasks_need_samples_of_their_own():
    cells = [
        c.cell.settings for c in planned(sweep={"teacher.temperature": [1.0], "task.seed": [1], "m": [2]})
    ]
    assert sorted(need.m for need in required_samples(cells)) == [5, 5, 5]


def test_validation_is_sampled_where_its_labels_are_the_teachers():
    gold = [c.cell.settings for c in planned(base={"rationales": {"labels": "gold"}})]
    teacher = [c.cell.settings for c in planned(base={"rationales": {"labels": "teacher"}})]
    assert required_samples(gold)[0].splits == ("train",)
    assert required_samples(teacher)[0].splits == ("train", "validation")


def test_gold_finetuning_needs_no_samples():
    assert required_samples([Cell(method="finetuning")]) == []


@pytest.mark.slow
def test_ten_thousand_cells_are_planned_in_seconds():
    values = [i / 100 for i in range(100)]
    begun = time.monotonic()
    assert len(planned(product={"beta": values, "delta": values})) == 10_000
    assert time.monotonic() - begun < 20  # two seconds on a quiet core


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as error:
        planned(
            base={"trainig": {}, "contrastive": {"delta": "four"}},
            product={"beta": [-1, 0.1], "method": ["dds"]},
            sweep={"k": [], "lag": [1]},
        )
    assert str(error.value).splitlines() == [
        "sweep.selfplay.k: value []; allowed: at least one value, or remove the line",
        "sweep.lag: is not a setting of a cell; allowed: task, m, k, tau, top_k, beta, delta, scheme, lr, "
        "steps or a path such as training.warmup; did you mean 'selfplay.lag'?",
        f"product.method: value 'dds'; allowed: {', '.join(METHODS)}; did you mean 'dss'?",
        "product.contrastive.beta: value -1; allowed: numbers from 0 up",
        "base.contrastive.delta: value 'four'; allowed: a number",
        f"base.trainig: unknown setting; allowed: {', '.join(Cell.model_fields)}; did you mean 'training'?",
    ]


NO_TOKENIZER = "value 'svamp' is natural text.*student.tokenizer or student.checkpoint"
NO_TEACHER = "value 'svamp', but the teacher 'embedded' only answers arithmetic: set teacher.model"


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, [NO_TOKENIZER, NO_TEACHER]),
        ({"student": {"tokenizer": "/t5"}}, [NO_TEACHER]),
        ({"student": {"checkpoint": "/t5"}, "teacher": {"model": "/qwen"}}, []),
        ({"teacher": {"engine": "recorded", "path": "/answers"}}, [NO_TOKENIZER]),
        ({"student": {"tokenizer": "/t5"}, "method": "finetuning", "rationales": {"labels": "gold"}}, []),
    ],
)
def test_what_only_knows_arithmetic_is_refused_to_another_task(settings, wrong):
    base = {"task": {"name": "svamp"}, **settings}
    if not wrong:
        assert len(planned(base=base)) == 1
        return
    with pytest.raises(ConfigError) as error:
        planned(base=base)
    lines = str(error.value).splitlines()
    assert len(lines) == len(wrong)
    for line, pattern in zip(lines, wrong, strict=True):
        assert re.match(f"base.task.name: {pattern}", line)


def test_the_factor_that_brings_another_task_is_named():
    with pytest.raises(ConfigError, match=r"^product.task.name: value 'svamp' is natural text"):
        planned(product={"task.name": ["arithmetic", "svamp"]})
    assert planned("paper", product={"task.name": ["svamp"]})


def test_a_slip_in_a_product_does_not_fill_the_memory():
    values = list(range(1, 1001))
    with pytest.raises(ConfigError, match="1000000000 cells; allowed: up to 100000"):
        planned(product={"m": values, "k": values, "selfplay.lag": values})


VARIANTS = {
    "DSS": {"method": "dss"},
    "ED": {"contrastive.beta": 0.0, "selfplay.k": 0, "discriminator.enabled": False},
    "QCRD": {},
}


def test_a_variant_sets_several_things_at_once_and_is_named():
    cells = expand(Grid(name="g", variants=VARIANTS), "embedded")
    assert [c.name for c in cells] == ["dss DSS seed=0", "qcrd ED seed=0", "qcrd QCRD seed=0"]
    assert [c.factors for c in cells] == [{"variant": name} for name in VARIANTS]
    ed = cells[1].cell.settings
    assert (ed.contrastive.beta, ed.selfplay.k, ed.discriminator.enabled) == (0, 0, False)


def test_variants_are_combined_with_the_product_whose_settings_count_more():
    grid = Grid(name="g", variants={"a": {"selfplay.k": 0}, "b": {}}, product={"selfplay.k": [1, 2]})
    cells = expand(grid, "embedded")
    assert [c.cell.settings.selfplay.k for c in cells] == [1, 2]
    assert [row.product["variant"] for row in cells[0].rows] == ["a", "b"]


def test_a_preset_can_have_parts_of_its_own():
    over = {"product": {"task.train": [10]}, "base": {"training": {"lr": 0.1}}, "seeds": 2}
    parts = {
        "product": {"method": ["dss"]},
        "base": {"training": {"steps": 7}},
        "presets": {"embedded": over},
    }
    cells = expand(Grid(name="g", **parts), "embedded")
    assert [c.name for c in cells] == ["dss train=10 seed=0", "dss train=10 seed=1"]
    training = cells[0].cell.settings.training
    assert (training.steps, training.lr) == (7, 0.1)
    (plain,) = expand(Grid(name="g", **parts), "paper")
    training = plain.cell.settings.training
    assert (training.steps, training.lr) == (7, 5e-5)


def test_the_base_of_a_sweep_is_also_called_by_the_bases_value():
    base = expand(Grid(name="g", sweep={"contrastive.beta": [0.2, 0.4]}), "embedded")[0]
    assert base.names == ("qcrd seed=0", "qcrd beta=0.2 seed=0")
    assert base.is_called("qcrd beta=0.2") and base.is_called("qcrd seed=0")
    assert not base.is_called("qcrd beta=0.4 seed=0")


@pytest.mark.parametrize("method", ["qcrd", "edit"])
@pytest.mark.parametrize("rule", ["first", "min_rd", "max_rd", "random"])
def test_a_rule_that_counts_needs_an_n_where_the_method_has_none(method, rule):
    base = {"method": method}
    with pytest.raises(ConfigError, match=f"^sweep.selection.rule: .*rule {rule} needs selection.n"):
        planned(base=base, sweep={"selection.rule": [rule]})
    assert planned(base=base, sweep={"selection.rule": ["all"]})
    assert planned(base={**base, "selection": {"n": 3}}, sweep={"selection.rule": [rule]})
    assert planned(base={"method": "morsd"}, sweep={"selection.rule": [rule]})


@pytest.mark.parametrize("place", ["./nowhere/student", "/nowhere/student", "~/nowhere/student"])
def test_a_model_that_is_to_measure_and_is_not_there_is_refused(place, tmp_path):
    def plan(place, rule="min_rd"):
        return planned(base={"method": "morsd", "selection": {"rule": rule, "measured_by": place}})

    with pytest.raises(
        ConfigError, match=r"^base.selection.measured_by: value .*nowhere/student' is not a folder"
    ):
        plan(place)
    assert plan(place, "random")  # measures nothing
    assert plan(str(tmp_path)) and plan("google/t5-v1_1-small")


@pytest.mark.parametrize("preset", ["paper", "embedded"])
def test_figure_5_varies_the_data_and_not_the_length_of_an_iteration(preset):
    file = read_grid(Path(__file__).parents[3] / "grids" / "figure5.yaml")
    lengths, sizes = {}, {}
    for cell in (planned.cell.settings for planned in file.cells(preset)):
        of, training = data_sizes(cell), cell.training
        epoch = math.ceil(of.train / training.batch)
        lengths.setdefault(cell.task.name, set()).add(training.iteration or epoch)
        sizes.setdefault(cell.task.name, set()).add(of.train)
        assert training.steps * training.batch >= of.train, "a larger part would show nothing more"
    assert all(len(found) == 1 for found in lengths.values())
    assert all(len(found) >= 4 for found in sizes.values())
