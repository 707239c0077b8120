"""`qcrd export` as it is typed."""

import pytest
import yaml
from hub_server import served
from small import SHAPE
from small_cells import fill, make_cell
from typer.testing import CliRunner

from qcrd import config
from qcrd.cell.run import run_cell
from qcrd.cli import app
from qcrd.errors import ConfigError, DataError, StoreError
from qcrd.storage.home import Home


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A home with a finished cell, the grid of two seeds that it is of, and its record."""
    home = Home(tmp_path_factory.mktemp("home"))
    section = config.Student(architecture=SHAPE, max_input=64, max_rationale=24, max_label=12)
    cell = make_cell(home, "dss", student=section)
    fill(home, cell)
    record = run_cell(cell, "dss seed=0", home)
    base = cell.settings.model_dump(mode="json", exclude={"seed"})
    grid = {"name": "mine", "preset": "embedded", "base": base, "seeds": 2}
    (home.root / "mine.yaml").write_text(yaml.safe_dump(grid))
    return home, record


def typed(place, *arguments):
    result = CliRunner().invoke(
        app,
        ["export", *map(str, arguments)],
        env={"QCRD_HOME": str(place[0].root)},
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_cell_is_named_by_its_id_or_as_in_its_grid(place, tmp_path):
    home, record = place
    assert typed(place, record.id[:6], "--out", tmp_path / "a") == f"{record.name}: {tmp_path / 'a'}\n"
    typed(place, "dss seed=0", "--grid", home.root / "mine.yaml", "--out", tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()
    with pytest.raises(DataError, match="is not finished; `qcrd run`"):
        typed(place, "dss seed=1", "--grid", home.root / "mine.yaml", "--out", tmp_path / "c")
    with pytest.raises(StoreError, match="is not empty"):
        typed(place, record.id, "--out", tmp_path / "a")
    typed(place, record.id, "--out", tmp_path / "a", "--overwrite")


@pytest.fixture
def hub(monkeypatch):
    with served() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.uri)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        yield server


def test_push_sends_the_whole_folder_in_one_commit(place, tmp_path, hub):
    record = place[1]
    said = typed(place, record.id, "--out", tmp_path / "out", "--push", "me/student", "--private")
    assert said.splitlines()[-1].startswith(f"{hub.uri}/me/student/commit/")
    assert hub.repositories["me/student"]["visibility"] == "private"
    sent = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert hub.files["me/student"] == sent and "README.md" in sent
    assert hub.messages == [f"Cell {record.id}: {record.name}"]
    assert hub.tokens == {"Bearer hf_of_a_test"}


def test_a_hub_that_refuses_is_said_and_the_folder_stays(place, tmp_path, hub):
    hub.refusing = True
    with pytest.raises(StoreError, match=r"may not write here.*itself is whole.*HF_TOKEN") as refusal:
        typed(place, place[1].id, "--out", tmp_path / "out", "--push", "me/student")
    assert "hf_of_a_test" not in str(refusal.value)
    assert (tmp_path / "out" / "README.md").exists()


@pytest.mark.parametrize("repo", ["student", "a/b/c", "me/-x..y"])
def test_an_id_that_the_hub_does_not_take_is_refused_before_anything_is_written(place, tmp_path, repo):
    with pytest.raises(ConfigError, match="--push"):
        typed(place, place[1].id, "--out", tmp_path / "out", "--push", repo)
    assert not (tmp_path / "out").exists()
