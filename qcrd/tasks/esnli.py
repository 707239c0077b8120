"""e-SNLI: SNLI with human explanations (Camburu et al., 2018) (section 4.1).

Uses the data set's training, validation and test sets. The gold rationale is the first explanation.
"""

from __future__ import annotations

from qcrd.tasks.dealing import Sizes
from qcrd.tasks.nli import FIELDS, NliTask
from qcrd.tasks.sources import Hub, Layout


class Esnli(NliTask):
    """Image captions as premises, with hypotheses about the same image."""

    name = "esnli"
    paper = Sizes(train=549_367, validation=9842, test=9824)
    explanation = "explanation_1"
    layout = Layout(
        name="esnli",
        fields=FIELDS,
        splits={"train": ("train",), "valid": ("validation",), "test": ("test",)},
        # The Hub's main branch has a loading script, which is never executed; this branch has the rows.
        hub=Hub("esnli/esnli", revision="refs/convert/parquet"),
    )
