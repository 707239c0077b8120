"""Scripts and the container file: by their linters; the pins: against what the project asks for."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = [REPOSITORY / ".ci" / "run", *sorted((REPOSITORY / "cluster").glob("*.sh"))]


def lint(tool: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a linter that was installed with this Python."""
    path = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path, f"{tool} is missing: install the extra [test]"
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script: Path):
    found = lint("shellcheck", script)
    assert found.returncode == 0, found.stdout
    assert os.access(script, os.X_OK)


def test_the_container_file_is_sound():
    found = lint("hadolint", REPOSITORY / "cluster" / "Containerfile")
    assert found.returncode == 0, found.stdout


def test_a_version_that_is_not_pinned_is_found(tmp_path: Path):
    text = (REPOSITORY / "cluster" / "Containerfile").read_text()
    loose = tmp_path / "Containerfile"
    loose.write_text(text.replace("uv==0.13.8", "uv"))
    assert loose.read_text() != text and "DL3013" in lint("hadolint", loose).stdout


def test_the_image_has_what_the_project_asks_for():
    lines = (REPOSITORY / "cluster" / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and line[0] not in "# ")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *extras["vllm"], *extras["server"], *extras["s3"]):
        asked = Requirement(text)
        assert asked.specifier.contains(pins[canonicalize_name(asked.name)]), text
