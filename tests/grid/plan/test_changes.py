"""Changes of a grid from the command line, and the spellings of settings in a file."""

import json
from pathlib import Path

import pytest

from qcrd.errors import ConfigError
from qcrd.grid.plan.changes import Changes
from qcrd.grid.plan.factors import get_setting
from qcrd.grid.plan.file import read_grid

GRID = """\
name: a
preset: embedded
base: {method: qcrd, contrastive: {beta: 0.4}}
sweep:
  tau: [0, 1.5]
presets:
  embedded: {base: {contrastive: {delta: 3}}, seeds: 2}
"""


@pytest.fixture
def grid(tmp_path):
    """Function from changes and the file's text to the grid's cells."""

    def read(*settings: str, limit: int | None = None, text: str = GRID):
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        return read_grid(path, Changes(settings, limit)).cells("embedded")

    return read


def values(cells, path: str) -> list:
    return [get_setting(planned.cell.settings, path) for planned in cells]


@pytest.mark.parametrize("key", ["beta", "contrastive.beta", "base.beta", "base.contrastive.beta"])
def test_a_setting_replaces_the_files_in_every_spelling(grid, key):
    assert set(values(grid(f"{key}=0.1"), "contrastive.beta")) == {0.1}


def test_a_setting_replaces_the_presets_as_well(grid):
    assert set(values(grid("delta=9"), "contrastive.delta")) == {9.0}
    assert set(values(grid("seeds=[7]"), "seed")) == {7}


def test_a_section_changes_the_settings_that_it_names_and_no_others(grid):
    cells = grid("contrastive={beta: 0.1, scheme: maxmin}", "sweep.training={lr: [0.1]}")
    assert set(values(cells, "contrastive.beta")) == {0.1}
    assert set(values(cells, "contrastive.delta")) == {3.0}  # of the preset's overlay
    assert set(values(cells, "training.lr")) == {0.1, 5e-3}


def test_a_value_that_is_a_mapping_is_replaced_as_a_whole(grid):
    text = GRID + "variants:\n  one: {beta: 0.1, m: 3}\n"
    assert set(values(grid("variants.one={m: 9}", text=text), "contrastive.beta")) == {0.4}


def test_settings_of_one_preset_have_all_spellings(grid):
    for key in ("base.beta", "base.contrastive.beta", "beta"):
        assert set(values(grid(f"presets.embedded.{key}=0.7"), "contrastive.beta")) == {0.7}
    cells = grid("presets.embedded.sweep.beta=[0.6]")
    assert set(values(cells, "contrastive.beta")) == {0.4, 0.6}


def test_a_setting_of_a_section_that_was_null_makes_the_section(grid):
    text = "name: a\npreset: embedded\nbase: {student: {adapter: null}}\n"
    text += "presets: {embedded: {base: {student: {adapter: null}}}}\n"
    (cell,) = grid("student.adapter.r=4", text=text)
    assert values([cell], "student.adapter.r") == [4]


def test_factors_are_replaced_as_a_whole_or_one_by_one(grid):
    assert set(values(grid("sweep.tau=[0.5]"), "selfplay.tau")) == {0.5, 1.5}
    cells = grid("sweep={delta: [1, 2]}", "product.m=[3, 4]")
    assert set(values(cells, "contrastive.delta")) == {3.0, 1.0, 2.0}
    assert set(values(cells, "rationales.m")) == {3, 4}


def test_later_settings_add_to_earlier_ones_of_the_same_section(grid):
    cells = grid("training.steps=7", "training.lr=1e-4", "resources.cell_cpus=2")
    assert set(values(cells, "training.steps")) == {7}
    assert set(values(cells, "training.lr")) == {1e-4}


def test_changed_cells_have_ids_of_their_own_and_unchanged_ones_keep_theirs(grid):
    def ids(*changes, **others):
        return {planned.cell.id for planned in grid(*changes, **others)}

    assert ids("beta=0.4") == ids()
    assert ids("beta=0.3").isdisjoint(ids())
    assert ids(limit=50).isdisjoint(ids())


WRONG = {
    "beta=-1": "--set beta=-1: base.contrastive.beta: value -1; allowed: numbers from 0 up",
    "beta=[0.1": "--set beta=[0.1: expected ',' or ']'",
    "training.lrr=1": "--set training.lrr=1: base.training.lrr: unknown setting; allowed: steps, batch, lr",
    "betta=1": "--set betta=1: base.betta: unknown setting",
    "seeds=0": "--set seeds=0: seeds: value 0; allowed: how many (3) or which",
    "sweep.tua=[1]": "--set sweep.tua=[1]: sweep.tua: is not a setting of a cell",
    "training.steps=010": "which YAML reads as 8 (octal); write 10 or 8",
    "beta": "--set beta: allowed: KEY=VALUE, such as beta=0.3",
    "beta=": "allowed: KEY=VALUE",
    "=3": "allowed: KEY=VALUE",
    "beta.=3": "'beta.' has an empty part between its dots",
    "beta=0.3 # x": "YAML reads '# x' as a comment; put the value in quotes",
    "description=#1": "YAML reads '#1' as a comment",
    "training={}": "--set training={}: the section is empty",
    "training.batch.x=3": "--set training.batch.x=3: base.training.batch: value {'x': 3}",
    "contrastive.beta.x=3": "base.contrastive.beta has the value 0.4, so there is nothing below it to set",
    "student.adapter.rank=8": "base.student.adapter.rank: unknown setting; allowed: r, alpha",
    "presets.embedded.base.betta=3": "base.betta: unknown setting",
}


@pytest.mark.parametrize("setting", WRONG)
def test_a_wrong_setting_is_refused_as_in_the_file_and_named_as_typed(grid, setting):
    with pytest.raises(ConfigError) as error:
        grid(setting)
    assert WRONG[setting] in str(error.value)
    assert "grid.yaml" not in str(error.value)


def test_a_setting_that_product_or_variants_replace_in_every_cell_is_refused(grid):
    product = GRID.replace("sweep:\n  tau", "product:\n  tau")
    with pytest.raises(ConfigError, match=r"grid.yaml:5 lists the values of selfplay.tau for every cell"):
        grid("tau=1", text=product)
    assert set(values(grid("product.tau=[1]", text=product), "selfplay.tau")) == {1.0}
    variants = GRID + "variants:\n  one: {beta: 0.1}\n  two: {beta: 0.2, m: 3}\n"
    with pytest.raises(ConfigError, match=r"every variant sets contrastive.beta; allowed: --set variants"):
        grid("beta=1", text=variants)
    assert set(values(grid("variants.two.beta=1", text=variants), "contrastive.beta")) == {0.1, 1.0}
    assert set(values(grid("m=9", text=variants), "rationales.m")) == {9, 3}


def test_a_limit_bounds_questions_and_steps_and_leaves_smaller_ones(grid):
    settings = {planned.cell.settings for planned in grid("task.test=7", "training.warmup=30", limit=20)}
    for cell in settings:
        assert (cell.task.train, cell.task.validation, cell.task.test) == (20, 20, 7)
        assert (cell.training.steps, cell.training.warmup) == (20, 2)
        assert cell.discriminator.pretrain_steps == 20


@pytest.mark.parametrize(("limit", "sizes"), [(20, (20, 5, 6)), (1000, (49, 5, 6))])
def test_a_limit_never_makes_a_split_larger(grid, tmp_path, limit, sizes):
    rows = [{"question": f"{i}?", "label": "cup"} for i in range(60)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    text = "name: a\npreset: embedded\nbase:\n  task: {name: own, source: q.jsonl, train: null, "
    text += "validation: null, test: null}\n  student: {tokenizer: ./tokenizer}\n"
    text += "  teacher: {engine: recorded, path: a.jsonl}\n"
    (cell,) = grid(limit=limit, text=text)
    splits = cell.cell.splits
    assert tuple(map(len, (splits.train, splits.validation, splits.test))) == sizes


def test_changes_are_written_as_they_can_be_typed():
    changes = Changes(("sweep.tau=[0, 1]", "beta=0.3"), 20)
    assert str(changes) == "--set 'sweep.tau=[0, 1]' --set beta=0.3 --limit 20"
    assert str(Changes()) == ""


SPELLINGS = [
    "base: {m: 3, training: {lr: 1e-3}, contrastive.beta: 0.3}\n",
    "base: {rationales: {m: 3}, training.lr: 1e-3, contrastive: {beta: 0.3}}\n",
    "base: {rationales.m: 3, lr: 1e-3, beta: 0.3}\n",
    "variants: {x: {m: 3, training: {lr: 1e-3}, contrastive.beta: 0.3}}\n",
    "product: {rationales: {m: [3]}, training: {lr: [1e-3]}, beta: [0.3]}\n",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_short_dotted_and_nested_spellings_mean_the_same_everywhere(grid, text):
    (cell,) = grid(text=f"name: a\npreset: embedded\n{text}")
    assert values([cell], "rationales.m") == [3]
    assert values([cell], "training.lr") == [1e-3]
    assert values([cell], "contrastive.beta") == [0.3]


def test_two_spellings_of_one_setting_are_a_repetition(grid):
    text = "name: a\nbase:\n  beta: 0.3\n  contrastive:\n    beta: 0.4\n"
    with pytest.raises(ConfigError, match=r"grid.yaml:5: base.contrastive.beta: is already in line 3"):
        grid(text=text)


@pytest.mark.parametrize(
    "settings",
    [
        "training.steps: 9, training.steps.x: 3",
        "training.steps.x: 3, training.steps: 9",
        "student: {adapter: null, adapter.r: 8}",
        "student.adapter.r: 4, student.adapter: {r: 8}",
        "beta: 0.3, contrastive: null",
    ],
)
def test_no_setting_of_a_file_is_dropped_for_another(grid, settings):
    with pytest.raises(ConfigError, match=r"does not go with line 2; keep one of them"):
        grid(text=f"name: a\nbase: {{{settings}}}\n")


def test_an_error_in_a_dotted_setting_names_its_line(grid):
    with pytest.raises(ConfigError, match=r"grid.yaml:3: base.training.lr: value -1"):
        grid(text="name: a\nbase:\n  training.lr: -1\n")


def test_relative_paths_start_from_the_grids_folder(grid, tmp_path, monkeypatch):
    text = "name: a\npreset: embedded\nbase: {teacher: {engine: recorded, path: answers.jsonl}}\n"
    monkeypatch.chdir("/")
    (cell,) = grid(text=text)
    assert values([cell], "teacher.path") == [str(tmp_path / "answers.jsonl")]
    (tmp_path / "student").mkdir()
    (cell,) = grid("student.checkpoint=student", "student.tokenizer=./student", text=text)
    assert values([cell], "student.checkpoint") == [str(tmp_path / "student")]
    assert values([cell], "student.tokenizer") == [str(tmp_path / "student")]
    (cell,) = grid("student.checkpoint=google/t5", text=text)  # no folder: a Hub id
    assert values([cell], "student.checkpoint") == ["google/t5"]


def test_an_empty_path_is_not_the_grids_folder(grid):
    for name in ("student.checkpoint", "task.source", "teacher.path"):
        with pytest.raises(ConfigError, match=rf"{name}: value '' is empty"):
            grid(f"{name}=''")


def test_a_path_from_the_working_folder_is_refused_with_the_right_one(grid, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("model").mkdir()
    with pytest.raises(
        ConfigError, match=r"paths in a grid start from the grid's folder; allowed: 'here/model'"
    ):
        grid("student.checkpoint=model")


def test_a_variant_that_begins_with_its_method_does_not_name_it_twice(grid):
    variants = "  dss: {method: dss}\n  dss, vote: {method: dss, m: 3}\n  X: {}\n"
    text = f"name: a\npreset: embedded\nvariants:\n{variants}"
    assert [planned.name for planned in grid(text=text)] == ["dss seed=0", "qcrd X seed=0"]
    text = text.replace("m: 3", "rationales.baseline_m: 3")
    names = [planned.name for planned in grid(text=text)]
    assert names == ["dss seed=0", "dss, vote seed=0", "qcrd X seed=0"]
