"""qcrd as a library: built as a wheel and used without its clone."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from qcrd.grid.plan.shipped_folder import shipped_folder

PROJECT = Path(__file__).parents[1]


def run(*command, **others):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **others)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_has_grids_prompts_and_the_teacher_and_plans_by_a_grids_name(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("QCRD_HOME", str(tmp_path / "home"))
    source = tmp_path / "source"  # building writes beside the sources
    source.mkdir()
    for name in ("qcrd", "grids"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    pip, alone = (sys.executable, "-m", "pip"), ("-q", "--no-deps", "--no-index")
    run(*pip, "wheel", *alone, "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("qcrd-*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    run(*pip, "--python", python, "install", *alone, wheel)
    # What qcrd depends on comes from this environment.
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib"))

    code = "import qcrd.teacher.packaged as p; print(*p.PACKAGED.glob('*/*.safetensors'))"
    assert run(python, "-c", code, cwd=tmp_path).startswith(str(tmp_path / "venv"))
    planned = run(python, "-m", "qcrd", "plan", "quickstart", "--preset", "embedded", cwd=tmp_path)
    assert "quickstart, preset embedded: 5 cells" in planned
    listed = run(python, "-m", "qcrd", "grids", "--json", cwd=tmp_path)
    for path in shipped_folder().glob("*.yaml"):
        assert str(tmp_path / "venv" / "share" / "qcrd" / "grids" / path.name) in listed


def test_a_name_stands_for_a_grid_that_comes_with_qcrd_unless_there_is_such_a_file(tmp_path, monkeypatch):
    from qcrd.errors import ConfigError
    from qcrd.grid.plan.file import read_grid

    monkeypatch.chdir(tmp_path)
    assert read_grid("quickstart").grid.name == "quickstart"
    Path("quickstart").write_text("name: mine\npreset: embedded\n")
    assert read_grid("quickstart").grid.name == "mine"
    with pytest.raises(ConfigError, match="there is no such file"):
        read_grid("../grids/quickstart")
