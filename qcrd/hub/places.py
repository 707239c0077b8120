"""Where a model's files are: a folder, a packaged model in the home, or the Hub."""

from __future__ import annotations

from pathlib import Path

from qcrd.hub.smollm2 import MODELS, resolve
from qcrd.storage.files import read_json
from qcrd.storage.home import Home

T5 = ("t5", "mt5")
"""`model_type` of the encoder-decoder models that can be students."""


def place(name: str) -> str:
    """The folder of a packaged model, which is converted where it is missing; other names as they are.

    Raises:
        ConfigError: if the package is missing.
        StoreError: if the folder cannot be written.
    """
    return str(resolve(name, Home.default())) if name in MODELS else name


def model_type(name: str, revision: str | None) -> str | None:
    """`model_type` of a checkpoint's config.json; None where it cannot be read.

    Args:
        name: folder, packaged model or Hub id; the Hub is asked where the file is not in the cache.
        revision: of a Hub id; None is the newest.
    """
    if name in MODELS:
        return MODELS[name].model_type
    if Path(name).is_dir():
        content = read_json(Path(name) / "config.json")
    else:
        from huggingface_hub import hf_hub_download

        try:
            content = read_json(Path(hf_hub_download(name, "config.json", revision=revision)))
        except Exception:  # of many kinds: no such model, no access, no connection; loading it says which
            return None
    found = content.get("model_type") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None
