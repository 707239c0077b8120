"""Whether a model can be had: its files, in a folder, in the cache or on the Hub."""

from __future__ import annotations

from pathlib import Path

from qcrd.doctor.check import Check, error, ok
from qcrd.doctor.machine import GIB


def model(name: str, place: str, revision: str | None) -> tuple[Check, int]:
    """Whether a checkpoint is there whole, and the bytes of its weights (0 where it is not).

    Args:
        name: of the check.
        place: folder or Hub id.
        revision: of a Hub id; None is the newest.
    """
    try:
        where, files = _files(place, revision)
    except Exception as trouble:  # the library raises many kinds: no connection, no such model, no access
        first = str(trouble).strip().splitlines()[0]
        remedy = (
            "`hf download` it where there is a connection and name the folder; `hf auth login` if it is gated"
        )
        return error(name, f"{place}: {type(trouble).__name__}: {first}", remedy), 0
    size = sum(size for file, size in files.items() if file.endswith(".safetensors"))
    if "config.json" not in files:
        return error(
            name, f"{place} {where} has no config.json", "name a folder in the Hugging Face format"
        ), 0
    if not size:
        remedy = "other formats can execute code: name a revision with safetensors, or convert it elsewhere"
        return error(name, f"{place} {where} has no weights in safetensors", remedy), 0
    return ok(name, f"{place} {where}, weights of {size / GIB:.1f} GiB"), size


def fit(name: str, size: int, room: float, what: str) -> Check:
    """Whether an engine's weights fit.

    Args:
        name: of the check.
        size: bytes of the weights as they are stored.
        room: bytes that the engine may take.
        what: the room, for people.
    """
    found = f"weights of {size / GIB:.1f} GiB, {room / GIB:.1f} GiB of {what}"
    if size < room:
        return ok(name, found)
    remedy = "a smaller teacher.model, teacher.quantization, or more resources.teacher_gpus"
    return error(name, f"does not fit: {found}", remedy)


def _files(place: str, revision: str | None) -> tuple[str, dict[str, int]]:
    """Where a model is, and its files with their bytes."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    folder = Path(place)
    if folder.is_dir():
        return "(folder)", _of_folder(folder)
    cached = try_to_load_from_cache(place, "config.json", revision=revision)
    if isinstance(cached, str) and any(Path(cached).parent.glob("*.safetensors")):
        return "(in the cache)", _of_folder(Path(cached).parent)
    found = HfApi().model_info(place, revision=revision, files_metadata=True, timeout=10)
    return "(on the Hub)", {file.rfilename: file.size or 0 for file in found.siblings}


def _of_folder(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
