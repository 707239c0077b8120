"""The examples of docs/extending.md as their users have them: outside of the package, through real cells."""

import json
import os
from pathlib import Path

import pytest
from forked import Command
from small import SHAPE

from qcrd import plugins
from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.cell.run import run_cell
from qcrd.config import Cell, Resources
from qcrd.errors import ConfigError
from qcrd.grid.plan.file import read_grid
from qcrd.grid.plan.study import Study
from qcrd.losses import SCHEMES
from qcrd.samples.draw import draw
from qcrd.storage.home import Home
from qcrd.teacher.engines import ENGINES

EXAMPLES = Path(__file__).parent / "plugins"
PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BASE = {
    "task": {"train": 16, "validation": 6, "test": 6},
    "teacher": {"engine": "adder", "options": {"wrong": 0.4}},
    "rationales": {"labels": "teacher", "m": 3, "baseline_m": 3},
    "student": {"architecture": SHAPE.model_dump(), "max_rationale": 24, "max_label": 12},
    "training": {"steps": 4, "batch": 8, "evaluate_every": 2},
    "selfplay": {"k": 1, "lag": 1},
    "discriminator": {"architecture": SHAPE.model_dump(), "pretrain_steps": 2, "update_steps": 1},
}
USES = {
    "softmin": {"contrastive": {"scheme": "softmin"}},
    "shortest": {"selection": {"rule": "shortest", "n": 1}},
    "warming": {"method": "warming", "options": {"steps": 3}},
    "sums": {"task": {**BASE["task"], "name": "sums"}},
    "adder": {"method": "dss"},
}


def cell_with(**settings) -> ResolvedCell:
    return resolve(Cell.model_validate({**BASE, **settings}))


def trained(cell: ResolvedCell, home: Home):
    """The cell's record, with its teacher asked in this process."""
    sampler = ENGINES["adder"].start(cell.settings.teacher, (), Resources(), 0)

    def sample(requests):
        sampler.feed(requests)
        yield sampler.take(1.0)

    store = sample_store(cell, home)
    for split in ("train", "validation"):
        draw(store, sample_requests(cell, split, cell.samples), sample, lambda *_: None)
    return run_cell(cell, "own", home, keep_student=False)


@pytest.mark.parametrize("name", USES)
def test_each_example_works_in_a_cell_whose_id_has_its_code(no_plugins, tmp_path, name):
    plugins.load([f"{each}.py" for each in dict.fromkeys(("adder", name))], EXAMPLES)
    cell = cell_with(**USES[name])
    record = trained(cell, Home(tmp_path))
    assert record.status == "done" and record.statistics["teacher/samples"] == 48
    code = plugins.loaded()[-1].code
    identity = {**record.identity, "sampler": cell.sampler}
    assert code in json.dumps(identity)


def test_options_are_what_the_plugin_declares_with_its_defaults(no_plugins):
    plugins.load(["warming.py", "adder.py"], EXAMPLES)
    ids = [cell_with(method="warming", options=options).identity for options in ({}, {"steps": 100})]
    assert ids[0] == ids[1] and ids[0]["options"] == {"steps": 100}
    assert cell_with(method="warming", options={"steps": 9}).identity != ids[0]
    keys = [
        cell_with(teacher={"engine": "adder", "options": options}).sampler
        for options in ({}, {"wrong": 0.3}, {"wrong": 0.5})
    ]
    assert keys[0] == keys[1] != keys[2]


GRID = """name: own
preset: embedded
plugins: [{plugins}]
base: {base}
{rest}
"""


def grid_file(folder: Path, names=tuple(USES), rest: str = "", **base) -> Path:
    """A grid beside its plugins."""
    for name in names:
        (folder / f"{name}.py").write_text((EXAMPLES / f"{name}.py").read_text())
    path = folder / "own.yaml"
    listed = ", ".join(f"{name}.py" for name in names)
    path.write_text(GRID.format(plugins=listed, base=json.dumps({**BASE, **base}), rest=rest))
    return path


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ({"method": "warming", "options": {"stps": 3}}, "options.stps: unknown setting; allowed: steps; did"),
        ({"method": "warming", "options": {"steps": "3"}}, "options.steps: value '3'; allowed: a whole"),
        ({"options": {"steps": 3}}, "base.options: value .*; allowed: nothing, method qcrd has no options"),
        ({"teacher": {"engine": "addr"}}, "teacher.engine: value 'addr'; allowed: .*; did you mean 'adder'"),
        ({"teacher": {"engine": "adder", "path": "a"}}, "teacher.path is only read where .* 'recorded'"),
        ({"teacher": {"engine": "adder", "options": {"wrong": "no"}}}, "options.wrong: value 'no'; allowed"),
        ({"options": {"a": [{"b": float("inf")}]}}, "base.options"),
    ],
)
def test_wrong_options_and_names_are_refused_with_what_is_allowed(no_plugins, tmp_path, base, said):
    with pytest.raises(ConfigError, match=said):
        read_grid(grid_file(tmp_path, **base))


def test_options_can_be_swept(no_plugins, tmp_path):
    rest = "sweep: {options.steps: [2, 100], teacher.options.wrong: [0.1]}"
    file = read_grid(grid_file(tmp_path, ("warming", "adder"), rest, method="warming"))
    names = [planned.name for planned in file.cells("embedded")]
    assert names == [
        "warming seed=0",
        "warming options.steps=2 seed=0",
        "warming teacher.options.wrong=0.1 seed=0",
    ]


def test_an_installed_package_names_its_plugin_and_a_cell_just_uses_it(no_plugins, tmp_path, monkeypatch):
    (tmp_path / "own_scheme.py").write_text((EXAMPLES / "softmin.py").read_text())
    info = tmp_path / "own_scheme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-scheme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qcrd.plugins]\nsoftmin = own_scheme\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.load(["adder.py"], EXAMPLES)
    record = trained(cell_with(contrastive={"scheme": "softmin"}), Home(tmp_path / "home"))
    assert record.identity["plugins"] == {"contrastive.scheme": SCHEMES.code("softmin")}


@pytest.mark.slow
def test_a_grid_with_all_of_them_runs_on_ray(no_plugins, tmp_path):
    rest = "product: {method: [warming, qcrd]}\nresources: {teacher_cpus: 1}"
    settings = {key: value for use in USES.values() for key, value in use.items()}
    del settings["method"], settings["options"]
    grid = grid_file(tmp_path, rest=rest, **settings)
    environment = {**os.environ, "QCRD_HOME": str(tmp_path / "home")}
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)

    process = Command(("run", str(grid)), environment, tmp_path / "output")
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert "(adder) for 66 of 66 samples" in output
    assert "| qcrd" in output and "| warming" in output
    home = Home(tmp_path / "home")
    study = Study.open(grid, home)
    kept = {path.stem: path.read_text() for path in home.plugins.iterdir()}
    assert kept == {plugin.code: plugin.text.decode() for plugin in plugins.loaded()}
    assert study.states() == ["done", "done"]
    settings = {name for planned in study.cells for name in planned.cell.identity["plugins"]}
    assert settings == {"method", "contrastive.scheme", "selection.rule"}


def test_the_page_shows_the_examples_as_they_run():
    page = PAGE.read_text()
    for name in USES:
        text = (EXAMPLES / f"{name}.py").read_text()
        assert f"```python\n{text}```" in page, name
        assert len(text.splitlines()) < 40
