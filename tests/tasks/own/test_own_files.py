"""Which file is which split: folders, the Hub's names, parts, folders within them."""

import io
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks.own.files import rows


def write(folder, *names):
    """Files with one row, which says the file's name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            file = io.BytesIO()
            parquet.write_table(pa.table({"x": [name]}), file)
            path.write_bytes(file.getvalue())
        else:
            path.write_text(json.dumps({"x": name}) if path.suffix != ".csv" else f"x\n{name}\n")


def splits(folder, **own):
    section = config.Task.model_validate({"name": "own", "source": str(folder), "own": own})
    return {split: [row.fields["x"] for row in found] for split, found in rows(section).items()}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("train.jsonl", "test.csv"), {"train": ["train.jsonl"], "test": ["test.csv"]}),
        (("own_train.jsonl", "own-test.jsonl"), {"train": ["own_train.jsonl"], "test": ["own-test.jsonl"]}),
        (("train.csv", "dev.csv"), {"train": ["train.csv"], "validation": ["dev.csv"]}),
        (("train.jsonl", "validation.jsonl", "dev.jsonl"),
         {"train": ["train.jsonl"], "validation": ["validation.jsonl"]}),
        (("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
          "data/test-00000-of-00001-0a1b2c3d4e5f6789.parquet", "dataset_infos.json"),
         {"train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
          "test": ["data/test-00000-of-00001-0a1b2c3d4e5f6789.parquet"]}),
        (("train_r1.jsonl", "validation_r1.jsonl", ".hidden/train.jsonl"),
         {"train": ["train_r1.jsonl"], "validation": ["validation_r1.jsonl"]}),
    ],
)  # fmt: skip
def test_files_are_named_after_their_splits(tmp_path, names, found):
    write(tmp_path, *names)
    assert splits(tmp_path) == found


def test_a_folder_within_is_named_by_subset(tmp_path):
    write(tmp_path, "main/train-00000-of-00001.parquet", "socratic/train-00000-of-00001.parquet")
    assert splits(tmp_path, subset="main") == {"train": ["main/train-00000-of-00001.parquet"]}
    with pytest.raises(
        DataError, match=r"has no file of data in it; task\.own\.subset names one of main, soc"
    ):
        splits(tmp_path)
    with pytest.raises(DataError, match=r"no folder 'mian' .*names one of main, socratic"):
        splits(tmp_path, subset="mian")


def test_a_split_that_is_named_for_another_use_is_not_taken_twice(tmp_path):
    write(tmp_path, "train.jsonl", "validation.jsonl", "test.jsonl")
    found = splits(tmp_path, test_split="validation")
    assert found == {"train": ["train.jsonl"], "test": ["validation.jsonl"]}


@pytest.mark.parametrize(
    ("names", "own", "says"),
    [
        (("train_r1.jsonl", "train_r2.jsonl"), {}, r"train_split: ambiguous.* has train_r1, train_r2"),
        (("train.jsonl", "dev.jsonl", "val.jsonl"), {}, r"validation_split: ambiguous.* has dev, val"),
        (("train-00000-of-00002.parquet",), {}, r"expected one file, or all of train-00000-of-0000N"),
        (("train.jsonl", "train.csv"), {}, r"the split 'train' is in train\.csv, train\.jsonl"),
        (("test.jsonl",), {}, r"task\.own\.train_split: the source has no 'train'; it has: test"),
        (("train.jsonl",), {"test_split": "tran"}, r"test_split: the source has no 'tran'.*mean 'train'"),
        (("train.txt",), {}, "has no file of data in it; give a file"),
    ],
)  # fmt: skip
def test_what_may_be_several_or_lacks_is_refused(tmp_path, names, own, says):
    write(tmp_path, *names)
    with pytest.raises(DataError, match=says):
        splits(tmp_path, **own)


def test_a_split_without_a_row_is_refused(tmp_path):
    write(tmp_path, "train.jsonl")
    (tmp_path / "test.jsonl").write_text("\n")
    with pytest.raises(DataError, match="has no row in its test split"):
        splits(tmp_path)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    write(tmp_path, "here/test.jsonl", "there/train.jsonl")
    (tmp_path / "here" / "train.jsonl").symlink_to(tmp_path / "there" / "train.jsonl")
    with pytest.raises(DataError, match="out of"):
        splits(tmp_path / "here")
