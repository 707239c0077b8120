"""Whether the files of a model are available: in a folder, in the cache or on the Hub."""

from __future__ import annotations

from pathlib import Path

from qcrd.doctor.check import Check, error, ok
from qcrd.grid.cluster.capacity import GIB
from qcrd.hub.model_files import Files, find


def model(name: str, place: str, revision: str | None) -> tuple[Check, Files | None]:
    """Check that a checkpoint has its configuration and weights; also returns its files, or None on error.

    Args:
        name: of the check.
        place: folder or Hub id.
        revision: of a Hub id; None is the newest.
    """
    at = f" (revision {revision})" if revision and not Path(place).is_dir() else ""
    try:
        files = find(place, revision)
    except Exception as trouble:  # the library raises many types: no connection, no such model, no access
        first = str(trouble).strip().splitlines()[0]
        remedy = "`hf download` it on a connected machine and name the folder; `hf auth login` if gated"
        return error(name, f"{place}{at}: not checked, {type(trouble).__name__}: {first}", remedy), None
    found = f"{place}{at} {files.where}"
    if "config.json" not in files.bytes:
        return error(name, f"{found} has no config.json", "name a folder in the Hugging Face format"), None
    if not files.stored:
        remedy = "other formats can execute code: name a revision with safetensors, or convert it elsewhere"
        return error(name, f"{found} has no weights in safetensors", remedy), None
    return ok(name, f"{found}, weights of {files.stored / GIB:.1f} GiB"), files
