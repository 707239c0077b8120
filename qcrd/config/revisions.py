"""Default revisions of models on the Hub, for configurations that name none.

Only safetensors weights are loaded. The main branch of some models has none, and branches may change, so this
table pins revisions that can be loaded, with their sources. An explicit revision takes precedence.
"""

from __future__ import annotations

from typing import Any

REVISIONS = {
    # The release that Distilling Step-by-Step trained. Their main branches have pickles alone; the Hub's own
    # conversion is pull request 1 of each, by SFconvertbot (March 2023, open): the Hub's pages
    # google/t5-v1_1-base/tree/refs/pr/1 (model.safetensors, 990 MB, commit 6bbe8e3) and
    # google/t5-v1_1-small/tree/refs/pr/1 (308 MB, commit 4d2efc22bf460b67006ba961cbe5fea53192fd42).
    "google/t5-v1_1-base": "refs/pr/1",
    "google/t5-v1_1-small": "refs/pr/1",
    # Its main branch has model.safetensors, and is this commit in many public lock files. (google-t5/t5-base
    # and google-t5/t5-small have theirs too, by SFconvertbot's pull requests 11, merged in April 2023, and
    # need no entry.)
    "Qwen/Qwen2.5-7B-Instruct": "a09a35458c702b33eeacc393d103063234e8bc28",
}


def with_revision(values: Any, model: str) -> Any:
    """Fill in the default revision of a section's model if none is set.

    Args:
        values: a section before validation.
        model: name of the setting that holds the model.
    """
    if isinstance(values, dict) and values.get("revision") is None and isinstance(values.get(model), str):
        revision = REVISIONS.get(values[model])
        return values if revision is None else {**values, "revision": revision}
    return values
