"""Old import paths are answered with the new ones."""

from importlib import import_module
from importlib.util import find_spec

import pytest

from qcrd import plugins
from qcrd.errors import ConfigError
from qcrd.moved import MOVED

PACKAGES = {  # of a module that moved into the package of its name
    f"qcrd.{name}"
    for name in ("grid.bench", "grid.plan", "grid.results", "grid.run", "student.t5", "teacher.openai")
}


def there(path: str) -> bool:
    """Whether a module, or a name in a module, can be imported."""
    package, _, name = path.rpartition(".")
    try:
        return find_spec(path) is not None
    except ModuleNotFoundError:
        return find_spec(package) is not None and hasattr(import_module(package), name)


def test_each_new_path_is_there_and_no_old_one():
    assert [path for path in MOVED.values() if not there(path)] == []
    modules = [old for old in MOVED if not old.rpartition(".")[2][0].isupper()]
    assert {old for old in modules if there(old)} == PACKAGES


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import qcrd.presets", "qcrd.presets is now qcrd.config.presets"),
        ("from qcrd import presets", "qcrd.presets is now qcrd.config.presets"),
        ("from qcrd.student.judge import Judge", "qcrd.student.judge is now qcrd.discriminator.trainer"),
        ("from qcrd.methods.dss import StepByStep", "StepByStep is now qcrd.objectives.dss.StepByStep"),
        ("from qcrd.student.t5 import Stack", "t5.Stack is now qcrd.student.t5.forward.Stack"),
    ],
)
def test_a_plugin_that_imports_an_old_path_is_told_the_new_one(no_plugins, tmp_path, line, said):
    (tmp_path / "own.py").write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=rf"line 2: \w+Error: .*; .*{said}; mend it"):
        plugins.load(["own.py"], tmp_path)


@pytest.mark.parametrize("line", ["import qcrd.nothing", "from qcrd.methods import NONE", "import absent"])
def test_other_failed_imports_have_no_such_hint(no_plugins, tmp_path, line):
    (tmp_path / "own.py").write_text(line)
    with pytest.raises(ConfigError) as error:
        plugins.load(["own.py"], tmp_path)
    assert "is now" not in str(error.value)
