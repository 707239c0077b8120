"""A user's own data set, described in YAML alone: JSON lines, JSON, CSV, TSV or Parquet, or a Hub id.

`config.Own` says which fields hold what; docs/own-data.md has worked examples.
"""

from __future__ import annotations

from qcrd.tasks.own.task import OwnText, task

__all__ = ["OwnText", "task"]
