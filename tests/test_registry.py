"""Plugins are loaded once, whole or not at all; what is wrong with one is said."""

import sys
from pathlib import Path

import pytest

from qcrd import plugins
from qcrd.cell.identity import cell_id, cell_identity
from qcrd.config import Cell, Contrastive
from qcrd.errors import ConfigError
from qcrd.grid.plan.file import read_grid
from qcrd.losses import MEAN, SCHEMES
from qcrd.methods import METHODS
from qcrd.rationales.select import SELECTIONS
from qcrd.tasks import TASKS
from qcrd.teacher.engines import ENGINES

pytestmark = pytest.mark.usefixtures("no_plugins")
SOFTMIN = (Path(__file__).parent / "plugins" / "softmin.py").read_text()

RULE = "from qcrd.rationales.select import Rule\n"


def written(folder: Path, text: str = SOFTMIN, name: str = "own.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_loaded_plugin_is_found_by_name_and_loading_it_again_changes_nothing(tmp_path):
    written(tmp_path)
    plugins.load(["own.py"], tmp_path)
    scheme = SCHEMES["softmin"]
    plugins.load(["own.py", str(tmp_path / "own.py")], tmp_path)
    assert SCHEMES["softmin"] is scheme and len(plugins.loaded()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (", r"line 1: not Python: .*mend it"),
        ("x = 1\nraise KeyError('gone')", r"line 2: KeyError: 'gone'"),
        ("import no_such_library", r"line 1: ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise SystemExit(3)", r"line 1: SystemExit: 3"),
        (SOFTMIN.replace('"softmin"', '"mean"'), r"'mean' is there already, from qcrd itself"),
        (SOFTMIN.replace("=softmin", "=None"), r"'softmin': positives: value None; allowed: a function"),
        (f"{RULE}Rule('mine', None)", "'mine': choose: value None; allowed: a function"),
        (
            "from qcrd.methods import METHODS\nMETHODS.register(len)",
            "len> is no qcrd.methods.base.Method",
        ),
        ("from qcrd.tasks import TASKS\nTASKS.register(object())", "is no qcrd.tasks.base.Task, or lacks"),
        (
            "from qcrd.tasks import TASKS, svamp\nTASKS.register(svamp.Svamp)",
            r"is a class; .* Svamp\(\)",
        ),
        (f"{SOFTMIN}\n{SOFTMIN.splitlines()[-1]}", r"'softmin' is there already, from plugin .*own\.py"),
    ],
)
def test_a_broken_plugin_is_named_with_its_line_and_leaves_nothing(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=said) as refusal:
        plugins.load(["own.py"], tmp_path)
    assert str(path) in str(refusal.value)
    assert "softmin" not in SCHEMES and SCHEMES["mean"] is MEAN and not plugins.loaded()
    written(tmp_path)
    plugins.load(["own.py"], tmp_path)
    assert "softmin" in SCHEMES, "a mended one loads"


def test_a_file_that_is_edited_after_it_was_loaded_needs_a_new_process(tmp_path):
    written(tmp_path)
    plugins.load(["own.py"], tmp_path)
    written(tmp_path, f"{SOFTMIN}\n# edited\n")
    with pytest.raises(ConfigError, match=r"own\.py': changed since it was loaded; start the process anew"):
        plugins.load(["own.py"], tmp_path)


def test_two_plugins_cannot_have_one_name(tmp_path):
    written(tmp_path)
    plugins.load(["own.py"], tmp_path)
    written(tmp_path, f"{SOFTMIN}\n# another version\n", "other.py")
    with pytest.raises(ConfigError, match=r"other\.py.*'softmin' is there already, from plugin .*own\.py"):
        plugins.load(["other.py"], tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.py", "there is nothing at .*missing.py; allowed: a Python file"),
        ("no.such.module", "no.such"),
        ("no_such_module", "no such module of Python code; allowed"),
        ("sys", "no such module of Python code"),
        ("$QCRD_UNSET/own.py", "QCRD_UNSET is not set"),
    ],
)
def test_what_is_no_plugin_is_refused_with_what_is_one(tmp_path, name, said):
    with pytest.raises(ConfigError, match=said):
        plugins.load([name], tmp_path)


def test_what_is_built_in_is_of_the_kind_that_a_plugin_must_register():
    for registry in (SCHEMES, METHODS, SELECTIONS, TASKS, ENGINES):
        assert all(isinstance(thing, registry.kind) for thing in registry.values())


def test_nothing_can_be_registered_whose_version_nobody_knows():
    with pytest.raises(ConfigError, match="registered outside of a plugin"):
        SCHEMES.register(MEAN)


def test_a_plugins_code_is_in_the_id_of_the_cells_that_use_it_and_of_no_others(tmp_path):
    def identity(scheme: str, method: str = "qcrd"):
        cell = Cell(method=method, contrastive=Contrastive(scheme=scheme))
        return cell_identity(cell, "data", {}), cell_id(cell, "data", {})

    without, baseline = identity("minmax"), identity("minmax", "dss")
    ids = set()
    for comment in ("", "# changed\n"):
        written(tmp_path, f"{SOFTMIN}{comment}", f"own{len(comment)}.py")
        plugins.load([f"own{len(comment)}.py"], tmp_path)
        found, its_id = identity("softmin")
        assert found["plugins"] == {"contrastive.scheme": plugins.loaded()[0].code}
        ids.add(its_id)
        assert identity("minmax") == without and identity("softmin", "dss") == baseline
        SCHEMES.pop("softmin"), SCHEMES._plugins.clear(), plugins._loaded.clear()
    assert len(ids) == 2 and "plugins" not in without[0]


def test_another_process_runs_the_text_that_was_read_whatever_has_become_of_the_file(tmp_path):
    path = written(tmp_path)
    plugins.load(["own.py"], tmp_path)
    function = plugins.carried(lambda: SCHEMES["softmin"].name)
    path.write_text("raise ValueError")
    SCHEMES.pop("softmin"), SCHEMES._plugins.clear(), plugins._loaded.clear()  # as in a new process
    assert function() == "softmin" == function()


def test_a_module_is_known_by_all_files_of_its_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for folder in ("one", "two"):
        written(tmp_path / f"package_{folder}", "", "__init__.py")
        written(tmp_path / f"package_{folder}", SOFTMIN.replace("softmin", folder), "scheme.py")
        written(tmp_path / f"package_{folder}", f"# {folder}", "helper.py")
        plugins.load([f"package_{folder}.scheme"], tmp_path)
    one, two = plugins.loaded()
    assert {"one", "two"} <= SCHEMES.keys() and one.code != two.code
    written(tmp_path / "package_one", "# changed", "helper.py")
    with pytest.raises(ConfigError, match="changed since it was loaded"):
        plugins.load(["package_one.scheme"], tmp_path)
    sys.modules.pop("package_one.scheme"), plugins._loaded.clear()
    with pytest.raises(ConfigError, match="this node has another version of it"):
        plugins._load(one)


@pytest.mark.parametrize("inner", ["inner/", "space/", ""])
def test_files_of_the_packages_around_a_nested_module_count_and_those_beside_them_do_not(
    tmp_path, monkeypatch, inner
):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"outer_{inner[:-1]}"
    folder = tmp_path / name
    written(folder, "", "__init__.py")
    if inner == "inner/":
        written(folder, "", "inner/__init__.py")
    written(folder, SOFTMIN, f"{inner}scheme.py")

    def code():
        return plugins._of_module(f"{name}.{inner.replace('/', '.')}scheme").code

    first = code()
    written(tmp_path, "", "other_package/__init__.py"), written(tmp_path, "", "beside.py")
    assert code() == first
    written(folder, "# of the outer package", "helper.py")
    second = code()
    written(folder, "# of another of its packages", "cousin/helper.py")
    assert len({first, second, code()}) == 3


def test_a_package_in_a_namespace_does_not_stand_for_its_neighbours(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path, "", "shared_namespace/mine/__init__.py")
    written(tmp_path, SOFTMIN, "shared_namespace/mine/scheme.py")
    first = plugins._of_module("shared_namespace.mine.scheme").code
    written(tmp_path, "", "shared_namespace/yours/__init__.py")
    assert plugins._of_module("shared_namespace.mine.scheme").code == first


GRID = """name: own
preset: embedded
plugins: [{}]
base: {{contrastive: {{scheme: softmin}}}}
"""


def test_a_grid_finds_its_plugins_beside_itself_wherever_it_is_read(tmp_path, monkeypatch):
    written(tmp_path / "grids")
    grid = written(tmp_path / "grids", GRID.format("own.py"), "own.yaml")
    monkeypatch.chdir("/")
    assert read_grid(grid).grid.plugins == ["own.py"]


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("none.py", ":3: plugins: plugin 'none.py': there is nothing at"),
        ("own.py, own.py", ":3: plugins: value 'own.py' is listed twice; remove one"),
        ("", ":4: base.contrastive.scheme: value 'softmin'; allowed: minmax.*what a plugin registers"),
    ],
)
def test_a_grid_says_in_which_line_a_plugin_is_wrong_and_only_that(tmp_path, listed, said):
    written(tmp_path)
    with pytest.raises(ConfigError, match=said) as refusal:
        read_grid(written(tmp_path, GRID.format(listed), "own.yaml"))
    assert len(str(refusal.value).splitlines()) == 1
