import os
from pathlib import Path

import pytest
import yaml
from daily import some

import qcrd
from qcrd.cell.identity import teacher_samples
from qcrd.config import Grid
from qcrd.errors import ConfigError
from qcrd.grid.plan.expansion import required_samples
from qcrd.grid.plan.file import read_grid
from qcrd.methods import METHODS

GRIDS = sorted((Path(qcrd.__file__).parents[1] / "grids").glob("*.yaml"))


def read_text(tmp_path, text: str) -> Grid:
    path = tmp_path / "grid.yaml"
    path.write_text(f"name: a\n{text}")
    return read_grid(path).grid


def test_numbers_that_mean_what_they_look_like_are_read(tmp_path):
    training = "{steps: 1_000, batch: 0x10, warmup: 0b11, lr: 1e-4, clip: .5, evaluate_every: +7}"
    assert read_text(tmp_path, f"base: {{training: {training}, discriminator: {{enabled: off}}}}").base == {
        "training": {"steps": 1000, "batch": 16, "warmup": 3, "lr": 1e-4, "clip": 0.5, "evaluate_every": 7},
        "discriminator": {"enabled": False},
    }
    assert read_text(tmp_path, "description: '0100'").description == "0100"


def test_a_mapping_takes_over_what_it_has_not_itself_from_anchors_of_which_the_first_counts(tmp_path):
    text = """
variants:
  small: &small {contrastive.beta: 0.1, m: 3}
  other: &other {m: 4, k: 2}
  both: {<<: [*small, *other], beta: 0.3}
  again: {<<: *other}
"""
    assert read_text(tmp_path, text).variants == {
        "small": {"contrastive.beta": 0.1, "rationales.m": 3},
        "other": {"rationales.m": 4, "selfplay.k": 2},
        "both": {"rationales.m": 3, "selfplay.k": 2, "contrastive.beta": 0.3},
        "again": {"rationales.m": 4, "selfplay.k": 2},
    }


@pytest.fixture
def problems(tmp_path):
    """Function from YAML text to the (line, message) of all that is wrong with it."""

    def read(text: str) -> list[tuple[int, str]]:
        path = tmp_path / "grid.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError) as error:
            read_grid(path)
        found = []
        for line in str(error.value).splitlines():
            assert line.startswith(f"{path}:"), line
            number, _, message = line.removeprefix(f"{path}:").partition(": ")
            found.append((int(number), message))
        return found

    return read


def test_a_grid_is_read_with_the_dotted_paths_of_its_factors(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        "#!/usr/bin/env -S python -m qcrd run\n"
        "name: a-1\n"
        "preset: embedded\n"
        "base: {training: {steps: 7}}\n"
        "sweep: {beta: [0, 5e-3], selfplay.tau: [1.5]}\n"
        "product: {scheme: [mean]}\n"
        "seeds: [0, 3]\n"
    )
    assert read_grid(path).grid == Grid(
        name="a-1",
        preset="embedded",
        base={"training": {"steps": 7}},
        sweep={"contrastive.beta": [0, 0.005], "selfplay.tau": [1.5]},
        product={"contrastive.scheme": ["mean"]},
        seeds=[0, 3],
    )


# (what is wrong, the YAML after `name: a`, its line, what the message says)
WRONG = [
    ("unknown key", "nam: b", 2, "nam: unknown setting; allowed: name, "),
    ("unknown key", "swep: {}", 2, "did you mean 'sweep'?"),
    ("cell setting at the top", "training: {steps: 3}", 2, "write it below `base:`, as base.training"),
    ("unknown section", "base:\n  trainin: {}", 3, "base.trainin: unknown setting"),
    ("unknown setting", "base:\n  training:\n    stepss: 3", 4, "did you mean 'steps'?"),
    (
        "unknown deep setting",
        "base:\n  student:\n    architecture:\n      layer: 3",
        5,
        "base.student.architecture.layer: unknown setting",
    ),
    ("unknown resource", "resources:\n  cpus: 3", 3, "resources.cpus: unknown setting; allowed: cell_cpus"),
    ("text for a number", "base:\n  contrastive: {beta: low}", 3, "beta: value 'low'; allowed: a number"),
    ("quoted number", "base:\n  contrastive: {beta: '1'}", 3, "value '1'; allowed: a number"),
    ("true for a count", "base: {training: {steps: true}}", 2, "value true; allowed: a whole number"),
    ("fraction for a count", "base: {training: {steps: 1.5}}", 2, "value 1.5; allowed: a whole number"),
    ("number for a switch", "base: {discriminator: {enabled: 1}}", 2, "value 1; allowed: true or false"),
    ("number for text", "base: {method: 3}", 2, "base.method: value 3; allowed: text"),
    ("value for a section", "base:\n  training: 3", 3, "value 3; allowed: a mapping of settings"),
    ("empty section", "base:\n  training:\n  # nothing", 3, "value null; allowed: a mapping of settings"),
    ("negative beta", "base:\n\n  contrastive:\n    beta: -1", 5, "value -1; allowed: numbers from 0 up"),
    ("not a number", "base: {contrastive: {beta: .nan}}", 2, "value nan; allowed: a finite number"),
    ("infinite", "base: {training: {lr: .inf}}", 2, "value inf; allowed: a finite number"),
    ("unknown word", "base: {contrastive: {negative: plus}}", 2, "allowed: 'hinge' or 'printed'"),
    (
        "unknown method",
        "base:\n  method: qrcd",
        3,
        f"allowed: {', '.join(METHODS)}; did you mean 'qcrd'?",
    ),
    ("unknown scheme", "sweep:\n  scheme:\n    - mean\n    - minmix", 5, "did you mean 'minmax'?"),
    ("unknown task", "base:\n  task: {name: swamp}", 3, "did you mean 'svamp'?"),
    (
        "self-play of none",
        "base:\n  selfplay: {enabled: false, k: 1}",
        3,
        "k is 1 but selfplay.enabled is false",
    ),
    (
        "self-play of none in a sweep",
        "base: {selfplay: {enabled: false}}\nsweep:\n  k:\n   - 0\n   - 2",
        6,
        "selfplay.k is 2 but selfplay.enabled is false",
    ),
    (
        "self-play of none in a product",
        "product:\n  selfplay.enabled: [true, false]\n  k: [0, 1]",
        4,
        "selfplay.k is 1 but selfplay.enabled is false",
    ),
    ("gold slips in", "base:\n  rationales: {labels: teacher, denoise: gold}", 3, "allowed: majority"),
    ("recorded without a path", "base:\n  teacher: {engine: recorded}", 3, "teacher.path is needed"),
    ("warm-up too long", "base:\n  training: {steps: 3, warmup: 3}", 3, "less warm-up than steps"),
    ("unset variable", "base:\n  task:\n    source: ${QCRD_UNSET}/x", 4, "variable QCRD_UNSET is not set"),
    (
        "unset variable in a sweep",
        "sweep:\n  task.source: [$QCRD_UNSET]",
        3,
        "variable QCRD_UNSET is not set",
    ),
    ("empty sweep", "sweep:\n  beta: []", 3, "sweep.contrastive.beta: value []; allowed: at least one value"),
    ("empty product", "product:\n  beta: []", 3, "product.contrastive.beta: value []"),
    ("sweep of nothing", "sweep:\n# beta: [1]", 2, "sweep: value null; allowed: a mapping"),
    ("single value", "sweep:\n  beta: 0.1", 3, "value 0.1; allowed: a list, also for a single value"),
    ("value twice", "sweep:\n  beta:\n  - 0.1\n  - 2\n  - 2.0", 6, "value 2.0 is listed twice"),
    (
        "unknown factor",
        "sweep:\n  contrastive.gamma: [1]",
        3,
        "contrastive.gamma: is not a setting of a cell",
    ),
    ("misspelt factor", "sweep:\n  bata: [1]", 3, "did you mean 'beta'?"),
    (
        "factor without section",
        "sweep:\n  temperature: [1]",
        3,
        "did you mean 'teacher.temperature' or 'evaluation.temperature'?",
    ),
    ("misspelt end", "sweep:\n  augmentations: [1]", 3, "did you mean"),
    ("section as factor", "sweep:\n  selfplay: [1]", 3, "is a section; allowed: one of its settings"),
    ("seeds as factor", "sweep:\n  seed: [1]", 3, "use `seeds:`"),
    (
        "in sweep and product",
        "product: {beta: [1]}\nsweep:\n  contrastive.beta: [2]",
        4,
        "is also in product",
    ),
    ("two spellings", "sweep:\n  beta: [1]\n  contrastive.beta: [2]", 4, "is already in line 3"),
    ("key twice", "base: {}\nbase: {}", 3, "base: is already in line 2; keep one"),
    (
        "deep key twice",
        "base:\n  training:\n    lr: 1\n    lr: 1",
        5,
        "base.training.lr: is already in line 4",
    ),
    ("bad preset", "preset: small", 2, "preset: value 'small'; allowed: 'auto', 'embedded' or 'paper'"),
    ("no seeds", "seeds: []", 2, "seeds: value []"),
    ("seeds: zero", "seeds: 0", 2, "seeds: value 0; allowed: how many"),
    ("seeds: text", "seeds: few", 2, "seeds: value 'few'; allowed: how many"),
    ("seed twice", "seeds: [0, 1, 0]", 2, "seed 0 is listed twice"),
    (
        "seed twice in a preset",
        "presets:\n  embedded:\n    seeds:\n    - 1\n    - 1",
        6,
        "seed 1 is listed twice",
    ),
    ("seeds of a preset", "presets:\n  paper:\n    seeds: few", 4, "seeds: value 'few'; allowed: how many"),
    ("factor of a preset", "presets:\n  embedded:\n    sweep:\n      bta: [1]", 5, "did you mean 'beta'"),
    ("value of a preset", "presets:\n  embedded:\n    sweep:\n      beta: [-1]", 5, "value -1; allowed"),
    ("baseline's factor", "product: {method: [dss]}\nbaseline: {variant: a}", 3, "allowed: method"),
    ("baseline's value", "product: {method: [dss]}\nbaseline: {method: qcrd}", 3, "allowed: dss"),
    ("no preset", "presets: {laptop: {}}", 2, "presets.laptop"),
    ("no setting of a preset", "presets: {paper: {seedz: 1}}", 2, "did you mean 'seeds'"),
    ("variant's setting", "variants:\n  plain:\n    bta: 1", 4, "variants.plain.bta: is not a setting"),
    ("variant's value", "variants:\n  plain:\n    beta: -1", 4, "variants.plain.contrastive.beta: value -1"),
    ("seed in base", "base:\n  seed: 3", 3, "use `seeds: [3]` instead"),
    ("tab", "base:\n\ttask: {}", 3, "indent with spaces, not tabs"),
    ("syntax", "seeds: [1, 2\nbase: {}", 3, "expected ',' or ']'"),
    ("two documents", "---\nname: b", 2, "another document"),
    ("tag", "base: !!python/object/apply:os.system [ls]", 2, "is not allowed; remove it"),
    ("scalar tag", "description: !!python/name:os.system x", 2, "could not determine a constructor"),
    ("impossible date", "description: 2020-13-01", 2, "put text in quotes"),
    (
        "octal",
        "base: {training: {steps: 0100}}",
        2,
        "steps: value 0100, which YAML reads as 64 (octal); write 100",
    ),
    ("octal ten", "seeds:\n- 010", 3, "which YAML reads as 8 (octal); write 10 or 8, or '010' for a string"),
    ("base 60", "description: 1:30", 2, "value 1:30, which YAML reads as 90 (base 60); write 90, or '1:30'"),
    ("base 60 in a sweep", "sweep:\n  beta:\n  - 0.1\n  - 1:30.5", 5, "which YAML reads as 90.5 (base 60)"),
    ("eight is no octal", "base: {training: {steps: 08}}", 2, "value '08'; allowed: a whole number"),
    (
        "yes for a string",
        "description: yes",
        2,
        "value true; allowed: text; YAML reads yes as true; write 'yes'",
    ),
    (
        "off in a list",
        "base: {task: {name: own, own: {kind: choice, choices: [on, off]}}}",
        2,
        "reads on as true",
    ),
    (
        "date for a string",
        "description: 2024-01-01",
        2,
        "value 2024-01-01; allowed: text; YAML reads 2024-01-01 as a",
    ),
    (
        "version for a string",
        "base: {teacher: {revision: 1.10}}",
        2,
        "value 1.1; allowed: text; YAML reads 1.10 as 1.1",
    ),
    (
        "hex for a string",
        "base: {teacher: {revision: 0x10}}",
        2,
        "YAML reads 0x10 as 16; write '0x10' for a string",
    ),
    (
        "underscores for a string",
        "description: 1_000",
        2,
        "YAML reads 1_000 as 1000; write '1_000' for a string",
    ),
    ("too large for a number", "base: {training: {lr: 1e400}}", 2, "value inf; allowed: a finite number"),
    ("tilde", "base: {training: {steps: ~}}", 2, "value null; allowed: a whole number; YAML reads ~ as null"),
    (
        "merge of a number",
        "base: &b 3\nsweep: {<<: *b}",
        3,
        "<<: takes an anchored mapping, or a list of them",
    ),
    ("merge of itself", "base: &b {<<: *b}", 1, "nested too deeply"),
    ("endless anchor", "base: &b\n  x: *b", 2, "too large"),
    ("control character", "description: \x01", 2, "invalid character"),
]


@pytest.mark.parametrize(("text", "line", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_is_wrong_is_refused_with_its_line(problems, text, line, message):
    found = problems(f"name: a\n{text}\n")
    assert len(found) == 1, found
    assert found[0][0] == line, found
    assert message in found[0][1]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_refused(problems, text):
    assert problems(text) == [(1, "the file is empty; a grid needs at least `name: ...`")]


@pytest.mark.parametrize("text", ["- a\n", "a\n", "3\n"])
def test_what_is_no_mapping_is_refused(problems, text):
    [(line, message)] = problems(text)
    assert line == 1 and "allowed: a mapping with name" in message


def test_a_name_is_needed_and_plain(problems):
    assert problems("seeds: 1\n") == [(1, "name: is missing; every grid needs it")]
    [(line, message)] = problems("\nname: My Grid!\n")
    assert line == 2 and "value 'My Grid!'; allowed: lower-case letters" in message


DEEP = ["[" * 2000, "a: " + "{a: " * 2000]


def test_a_misspelt_name_of_a_shipped_grid_is_recognised():
    with pytest.raises(ConfigError, match=r"quickstrat: there is no such file.*did you mean 'quickstart'"):
        read_grid("quickstrat")


@pytest.mark.parametrize("text", some(DEEP, DEEP[1:]))
def test_deep_nesting_is_refused(problems, text):
    [(line, message)] = problems(text)
    assert line == 1 and "nested too deeply" in message


def test_a_bomb_of_anchors_is_refused(problems):
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    [(_, message)] = problems("\n".join(lines))
    assert "too large" in message


def test_all_that_is_wrong_is_reported_in_the_order_of_the_lines(problems):
    found = problems(
        "name: A\n"
        "seeds: none\n"
        "base:\n"
        "  training: {lr: -1}\n"
        "  training: {lr: 1}\n"
        "sweep:\n"
        "  beta: [0, -1, x]\n"
        "  k: 3\n"
        "  gamma: [1]\n"
        "resources: {cell_cpus: 0}\n"
    )
    assert [line for line, _ in found] == [1, 2, 4, 5, 7, 7, 8, 9, 10]


def test_a_problem_of_many_combinations_is_reported_once(problems):
    found = problems("name: a\nproduct:\n  method: [dss, qcrd]\n  m: [1, 2]\n  beta: [0, 1, -1]\n")
    assert found == [(5, "product.contrastive.beta: value -1; allowed: numbers from 0 up")]


def test_a_file_that_is_not_there_is_named_beside_those_that_are(tmp_path):
    (tmp_path / "there.yaml").touch()
    with pytest.raises(ConfigError, match=r"no such file; grids in that folder: .*there\.yaml"):
        read_grid(tmp_path / "their.yaml")


def test_a_folder_and_bytes_are_refused(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(ConfigError, match="cannot be read as a text file"):
            read_grid(path)


@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.stem)
def test_the_projects_grids_are_valid_and_can_be_executed(path, monkeypatch):
    monkeypatch.setenv("QCRD_DATA", "/data")
    grid = read_grid(path).grid
    assert grid.name == path.stem
    assert path.read_text().startswith("#!/usr/bin/env -S python -m qcrd run\n")
    assert os.access(path, os.X_OK)


def test_the_ablation_studies_six_factors_with_one_set_of_samples():
    file = read_grid(next(p for p in GRIDS if p.stem == "ablation"))
    for preset, seeds in (("embedded", 1), ("paper", 3)):
        cells, sweep = file.cells(preset), file.grid.sweep
        values = sum(map(len, sweep.values()))
        assert len(cells) == seeds * (values - len(sweep) + 1)  # the base is a value of each factor
        assert [need.m for need in required_samples(c.cell.settings for c in cells)] == [20]


@pytest.mark.parametrize("preset", ["embedded", "paper"])
def test_all_methods_are_compared_on_equal_samples_and_steps(preset):
    file = read_grid(next(p for p in GRIDS if p.stem == "methods"))
    cells = [planned.cell.settings for planned in file.cells(preset)]
    assert {cell.method for cell in cells} == set(METHODS)
    assert len(cells) == 3 * (len(METHODS) + 2)  # and two combinations, in three seeds
    taught = [cell for cell in cells if preset == "embedded" or cell.method != "finetuning"]  # gold labels
    assert {teacher_samples(cell) for cell in taught} == {20}
    assert len({(cell.training, cell.student, cell.task) for cell in cells}) == 1


def test_the_recorded_grid_says_where_its_data_is_wanted(monkeypatch):
    monkeypatch.delenv("QCRD_DATA", raising=False)
    path = next(p for p in GRIDS if p.stem == "recorded")
    with pytest.raises(ConfigError, match=r"QCRD_DATA is not set; export QCRD_DATA=.*--runtime-env-json"):
        read_grid(path)


def test_a_written_grid_reads_the_same(tmp_path):
    grid = read_grid(next(p for p in GRIDS if p.stem == "ablation")).grid
    (tmp_path / "copy.yaml").write_text(yaml.safe_dump(grid.model_dump()))
    assert read_grid(tmp_path / "copy.yaml").grid == grid


@pytest.mark.parametrize(
    ("name", "paper", "embedded"),
    [
        ("table1", 16, 4),
        ("table2", 12, 3),
        ("table3", 6, 2),
        ("table4", 4, 4),
        ("table5", 5, 5),
        ("table6", 7, 7),  # the default stands in both halves
        ("table7", 5, 5),
        ("table9", 8, 2),
        ("figure5", 38, 10),
    ],
)
def test_a_papers_grid_has_exactly_the_cells_of_its_table(name, paper, embedded):
    file = read_grid(next(p for p in GRIDS if p.stem == name))
    seeds = 1 if name == "table9" else 3
    assert len(file.cells("paper")) == paper * seeds
    assert len(file.cells("embedded")) == embedded * seeds


def test_the_papers_grids_ask_the_papers_sets_once_each_and_share_their_cells():
    def cells(name):
        return [planned.cell.settings for planned in read_grid(paths[name]).cells("paper")]

    paths = {p.stem: p for p in GRIDS}
    needs = required_samples(cells("table1"))
    assert [need.task.name for need in needs] == ["svamp", "cqa", "anli1", "esnli"]
    assert all((need.m, need.splits) == (5, ("train",)) for need in needs)
    assert all(cell in cells("table1") for cell in cells("table9"))
    assert all(cell.rationales.labels == "teacher" for cell in cells("table3"))
