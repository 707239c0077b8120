"""Licences of bases and data as their publishers state them, and the Hub's ids of the data.

Only what is known for certain is listed; everything else is "unknown", and a model card says so.
"""

from __future__ import annotations

import re
from pathlib import Path

from qcrd.cell.base import Base
from qcrd.config import Task
from qcrd.storage.files import read_json

UNKNOWN = "unknown"

_DATA = {  # task: (the Hub's id, licence)
    "svamp": ("ChilleD/SVAMP", "mit"),
    "gsm8k": ("openai/gsm8k", "mit"),
    "cqa": ("Salesforce/cos_e", "bsd-3-clause"),
    "anli1": ("facebook/anli", "cc-by-nc-4.0"),
    "esnli": ("esnli/esnli", "mit"),
}
_GENERATED = {"arithmetic": "apache-2.0"}  # by this package, under its own licence
_APACHE = re.compile(
    r"(google-t5/t5-|google/(t5-v1_1|flan-t5|mt5)-|HuggingFaceTB/SmolLM[23]?-|Qwen/Qwen3-"
    r"|EleutherAI/pythia-).*"
)
_MIT = re.compile(r"microsoft/phi-[124].*", re.IGNORECASE)


def of_base(base: Base) -> str:
    """Licence of a base: an identifier of the Hub's list, or "unknown"."""
    if base.license is not None:
        return base.license
    if base.kind == "folder":  # what a converted or exported model says of itself
        origin = (read_json(Path(base.name) / "config.json") or {}).get("origin")
        return str(origin.get("license", UNKNOWN)) if isinstance(origin, dict) else UNKNOWN
    if base.kind == "hub":
        if _APACHE.fullmatch(base.name):
            return "apache-2.0"
        if _MIT.fullmatch(base.name):
            return "mit"
    return UNKNOWN


def of_data(task: Task) -> str:
    """Licence of a task's data; "unknown" for data of one's own."""
    if task.name in _GENERATED:
        return _GENERATED[task.name]
    return _DATA[task.name][1] if task.name in _DATA else UNKNOWN


def datasets(task: Task) -> list[str]:
    """The Hub's ids of a task's data; [] for generated data, and for own data that is a file."""
    if task.name in _DATA:
        return [_DATA[task.name][0]]
    own = task.source if task.name == "own" else None
    return [own] if own and re.fullmatch(r"[\w.-]+/[\w.-]+", own) and not Path(own).exists() else []
