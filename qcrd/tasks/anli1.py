"""ANLI1: the first round of Adversarial NLI (Nie et al., 2019) (section 4.1).

Uses the data set's training, validation and test sets. The gold rationale is the annotator's reason, which
most training questions lack.
"""

from __future__ import annotations

from qcrd.tasks.dealing import Sizes
from qcrd.tasks.nli import FIELDS, NliTask
from qcrd.tasks.sources import Hub, Layout


class Anli1(NliTask):
    """Long premises, with hypotheses written to mislead a model."""

    name = "anli1"
    paper = Sizes(train=16_946, validation=1000, test=1000)
    explanation = "reason"
    layout = Layout(
        name="anli1",
        fields=FIELDS,
        splits={
            "train": ("train_r1", "train"),
            "valid": ("dev_r1", "validation"),
            "test": ("test_r1", "test"),
        },
        # In Parquet on main, which is this commit in many public lock files.
        hub=Hub("facebook/anli", revision="8e4813d81f46d313dac7892e1c28076917cfcdf9"),
    )
