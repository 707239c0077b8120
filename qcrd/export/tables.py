"""Rows as JSON lines, Parquet, or a data set's folder that `datasets.load_dataset` reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import yaml

from qcrd.errors import StoreError
from qcrd.export import preferences, samples
from qcrd.export.samples import Row
from qcrd.storage.files import atomic, unwritable

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["jsonl", "parquet", "datasets"]
Kind = Literal["samples", "sft", "dpo"]
MARK = "\nqcrd:\n"  # of the front matter of a data set that was exported


def write(
    out: Path, by_split: Mapping[str, Sequence[Row]], form: Format, kind: Kind, about: str, overwrite: bool
) -> None:
    """Write rows; the file or folder appears whole or not at all.

    Args:
        out: file, or for `datasets` a folder with one Parquet file per split and a README.md.
        by_split: rows by split, in this order.
        form: what to write.
        kind: what the rows are.
        about: text for the README.md.
        overwrite: whether to replace what is there.

    Raises:
        StoreError: if something is there, or it cannot be written.
    """
    refuse_full(out, form, overwrite)
    if form == "datasets":
        _folder(out, by_split, kind, about)
        return
    rows = [row for split in by_split.values() for row in split]
    with atomic(out) as temporary:
        if form == "parquet":
            _parquet(temporary, rows, kind)
        else:
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            temporary.write_text("".join(lines), encoding="utf-8")


def refuse_full(out: Path, form: Format, overwrite: bool) -> None:
    """Check that a file or folder may be written.

    Raises:
        StoreError: if not.
    """
    if not out.exists():
        return
    if (form == "datasets") != out.is_dir():
        raise StoreError(f"--out: {out} is a {'folder' if out.is_dir() else 'file'}; name another place")
    if form != "datasets" or any(out.iterdir()):
        if not overwrite:
            raise StoreError(f"--out: {out} is there already; name another place, or add --overwrite")
        card = out / "README.md"
        if form == "datasets" and not (card.is_file() and MARK in card.read_text(encoding="utf-8")):
            raise StoreError(
                f"--out: {out} holds something else than an earlier export, which --overwrite would delete; "
                "name another folder"
            )


def _folder(out: Path, by_split: Mapping[str, Sequence[Row]], kind: Kind, about: str) -> None:
    temporary = out.with_name(f".{out.name}.{uuid4().hex[:8]}.tmp")
    aside = temporary.with_name(f"{temporary.name}.old")
    try:
        temporary.mkdir(parents=True)
        kept = {split: rows for split, rows in by_split.items() if rows}  # a split without rows has no file
        for split, rows in kept.items():
            _parquet(temporary / f"{split}.parquet", rows, kind)
        front = {
            "configs": [
                {
                    "config_name": "default",
                    "data_files": [{"split": split, "path": f"{split}.parquet"} for split in kept],
                }
            ],
            "tags": ["trl", kind] if kind != "samples" else ["rationales"],
            "qcrd": {"kind": kind, "rows": {split: len(rows) for split, rows in kept.items()}},
        }
        text = f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n{about}\n"
        (temporary / "README.md").write_text(text, encoding="utf-8")
        if out.exists():
            out.rename(aside)
        temporary.rename(out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def _parquet(path: Path, rows: Sequence[Row], kind: Kind) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows), schema(rows, kind)), path, compression="zstd")


def schema(rows: Sequence[Row], kind: Kind) -> pa.Schema:
    """Types of all columns, so that one that is null throughout has its type too; arguments as of `write`."""
    import pyarrow as pa

    types: dict[str, Any] = {
        "string": pa.string(),
        "strings": pa.list_(pa.string()),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "number": pa.float64(),
    }
    if kind == "samples":
        return pa.schema([(name, types[type_]) for name, type_ in samples.COLUMNS.items()])
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    chat = bool(rows) and not isinstance(rows[0]["prompt"], str)
    text = pa.list_(message) if chat else pa.string()
    columns = [("split", pa.string())] if rows and "split" in rows[0] else []
    columns += [("question_id", pa.string())]
    return pa.schema([*columns, *((name, text) for name in preferences.COLUMNS[kind])])
