"""Writes the kept student of a finished cell as a plain Hugging Face folder with a model card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from qcrd.cell.base import Base, base_of
from qcrd.cell.finished import FinishedCell, kept_student
from qcrd.errors import StoreError
from qcrd.export import card
from qcrd.export.usage import BASE, Ask, code
from qcrd.storage.files import read_json, unwritable, write_json
from qcrd.storage.home import Home

if TYPE_CHECKING:
    from qcrd.student.base import Student

CARD = "README.md"


def export(ended: FinishedCell, home: Home, out: Path, merged: bool = False, overwrite: bool = False) -> None:
    """Write weights (safetensors), settings, tokenizer and README.md; the folder appears whole or not at all.

    Args:
        ended: the cell.
        home: where it is.
        out: the folder to write.
        merged: whether to write whole weights where the student has an adapter, instead of the adapter.
        overwrite: whether to replace an earlier export.

    Raises:
        DataError: if the student was not kept, or the cell has none.
        StoreError: if the folder is not empty, or cannot be written.
    """
    ended.check_student()
    refuse_full(out, overwrite)
    section = ended.cell.settings.student
    base = base_of(section, ended.record.versions)
    student = kept_student(ended.cell, ended.student)
    adapter = section.adapter is not None and not merged
    temporary = out.with_name(f".{out.name}.{uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
        _write(ended, student, base, temporary, adapter)
        asks = _asks(ended)
        text = card.text(
            ended, home, base, adapter, asks, code(student, section, asks, base if adapter else None)
        )
        (temporary / CARD).write_text(text, encoding="utf-8")
        _move(temporary, out)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def refuse_full(out: Path, overwrite: bool) -> None:
    """Check that a folder may be written.

    Raises:
        StoreError: if it is a file, or holds something that is not to be replaced.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise StoreError(f"--out: {out} is a file; allowed: a folder that does not exist or is empty")
    if any(out.iterdir()):
        if not overwrite:
            raise StoreError(f"--out: {out} is not empty; name another folder, or add --overwrite")
        head = (out / CARD).read_text(encoding="utf-8") if (out / CARD).is_file() else ""
        if card.MARK not in head:
            raise StoreError(
                f"--out: {out} holds something else than an earlier export, which --overwrite would delete; "
                "name another folder"
            )


def _write(ended: FinishedCell, student: Student, base: Base, folder: Path, adapter: bool) -> None:
    """Weights, settings and tokenizer."""
    from transformers import GenerationConfig

    from qcrd.student.causal.student import CausalStudent

    if isinstance(student, CausalStudent) and not adapter:
        student.save_whole(folder)
    else:
        student.save(folder)
    if adapter:
        if isinstance(student, CausalStudent) and base.kind == "random":
            student.save_base(folder / BASE)
        path = folder / "adapter_config.json"
        named = {"base_model_name_or_path": None if base.kind == "random" else base.name}
        write_json(path, _read(path) | named | {"revision": base.commit})
    # Without this, tokenizers without a class of their own give token_type_ids, which generate() refuses.
    path = folder / "tokenizer_config.json"
    write_json(path, _read(path) | {"model_input_names": ["input_ids", "attention_mask"]})
    tokenizer = student.tokenizer
    ends = list(dict.fromkeys(e for e in (student.eos_id, tokenizer.eos_token_id) if e is not None))
    pad = tokenizer.pad_token_id
    start = getattr(student, "start_id", None)
    GenerationConfig(
        do_sample=False,
        max_new_tokens=_asks(ended)["ask"].limit,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=pad if pad is not None else ends[0],
        bos_token_id=tokenizer.bos_token_id,
        **({} if start is None else {"decoder_start_token_id": start}),
    ).save_pretrained(folder)


def _asks(ended: FinishedCell) -> dict[str, Ask]:
    """What the student can be asked for: an answer, and where it learned them apart a rationale."""
    section, method = ended.cell.settings.student, ended.cell.method
    if method.written(section) == "sequence":
        return {"ask": Ask("solve", section.max_label + section.max_rationale)}
    asks = {"ask": Ask("predict", section.max_label)}
    if method.explains:
        asks["explain"] = Ask("explain", section.max_rationale - 1)
    return asks


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(path) or {}
    return content


def _move(temporary: Path, out: Path) -> None:
    """Put a whole folder in the place of another, which is moved aside before it is deleted."""
    aside = temporary.with_name(f"{temporary.name}.old")
    if out.exists():
        out.rename(aside)
    temporary.rename(out)
    shutil.rmtree(aside, ignore_errors=True)
