"""Finetuning: question to label, no rationales (section 4.1)."""

from qcrd.methods.base import Method

FINETUNING = Method("finetuning", frozenset({"baseline_m"}), "label", "qcrd.objectives.finetuning:Finetuning")
