"""Where rows come from: DSS's archive, its folder, and the Hub's layout read by the real library."""

import json
import zipfile

import datasets
import pytest

from qcrd.errors import DataError
from qcrd.tasks.sources import Hub, Layout, noted_commits

LAYOUT = Layout(
    name="toy",
    fields={"text": str, "label": int},
    splits={"train": ("train_r1", "train"), "valid": ("dev_r1", "validation")},
    hub=Hub("owner/toy", config="v2"),
)
ROWS = {
    "train": [{"text": "one\u2028line", "label": 1}, {"text": "b", "label": 0}],
    "valid": [{"text": "c", "label": 2}],
}


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def lines(rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


def write(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in names.items():
        (folder / name).write_text(lines(ROWS[split]), encoding="utf-8")
    return folder


def test_the_archive_its_folder_and_the_hubs_layout_give_the_same_rows(tmp_path):
    folder = write(tmp_path / "datasets" / "toy", {"train": "toy_train.json", "valid": "toy_valid.json"})
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"datasets/toy/{file.name}")
    hub = write(tmp_path / "hub", {"train": "train.jsonl", "valid": "validation.jsonl"})
    for source in (folder, folder.parent, tmp_path / "z.zip", hub):
        assert LAYOUT.rows(str(source)) == ROWS


def test_a_copy_of_the_hubs_repository_is_read_in_its_own_configuration(tmp_path):
    write(tmp_path / "v2", {"train": "a.jsonl", "valid": "b.jsonl"})
    write(tmp_path / "v1", {"valid": "a.jsonl", "train": "b.jsonl"})
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: train_r1\n    path: {name}/a.jsonl\n"
        f"  - split: dev_r1\n    path: {name}/b.jsonl\n"
        for name in ("v1", "v2")
    )
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    assert LAYOUT.rows(str(tmp_path)) == ROWS


def test_a_hub_out_of_reach_is_said_with_what_to_do():
    with pytest.raises(
        DataError, match=r"'owner/toy' could not be loaded .*datasets.zip.*hf download owner/toy"
    ):
        LAYOUT.rows(None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: no `text`"),
        ('{"text": "a"}', r"line 2: no `label` \(int\); expected an object with `text` \(str\), `label`"),
        ('{"text": 1, "label": 1}', r"line 2: no `text` \(str\)"),
    ],
)
def test_a_line_in_another_form_is_named(tmp_path, line, says):
    write(tmp_path, {"valid": "toy_valid.json"})
    (tmp_path / "toy_train.json").write_text(f"{lines(ROWS['train'][:1])}{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"toy_train.json in .*{says}"):
        LAYOUT.rows(str(tmp_path))


def test_a_row_of_the_hubs_layout_in_another_form_is_named(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": "yes"}\n')
    (tmp_path / "validation.jsonl").write_text('{"text": "a", "label": "yes"}\n')
    with pytest.raises(DataError, match=r"row 0 of train in .*no `label`"):
        LAYOUT.rows(str(tmp_path))


def test_a_missing_split_is_named(tmp_path):
    write(tmp_path / "dss", {"train": "toy_train.json"})
    with pytest.raises(DataError, match=r"has no toy_valid\.json"):
        LAYOUT.rows(str(tmp_path / "dss"))
    write(tmp_path / "hub", {"train": "train.jsonl"})
    with pytest.raises(DataError, match="has the splits train; expected one of dev_r1, validation"):
        LAYOUT.rows(str(tmp_path / "hub"))


def test_what_is_no_source_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for source in (str(tmp_path / "file"), "/nowhere/datasets.zip", "toy"):
        with pytest.raises(DataError, match="no folder, zip or Hub id"):
            LAYOUT.rows(source)


def test_the_commit_of_a_hub_data_set_is_noted_and_a_local_copy_has_none(tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    loaded = {}
    for name, rows in (("train_r1", ROWS["train"]), ("dev_r1", ROWS["valid"])):
        cached = tmp_path / "owner___toy" / "v2" / "0.0.0" / commit / f"toy-{name}.arrow"
        cached.parent.mkdir(parents=True, exist_ok=True)
        with datasets.arrow_writer.ArrowWriter(path=str(cached)) as writer:
            for row in rows:
                writer.write(row)
            writer.finalize()
        loaded[name] = datasets.Dataset.from_file(str(cached))
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: loaded)
    with noted_commits() as found:
        assert LAYOUT.rows("owner/toy") == ROWS
    assert found == [commit], "once, though two splits are of it"
    monkeypatch.undo()
    local = write(tmp_path / "hub", {"train": "train.jsonl", "valid": "validation.jsonl"})
    with noted_commits() as found:
        assert LAYOUT.rows(str(local)) == ROWS
    assert found == []
    LAYOUT.rows(str(local))  # nobody asks
