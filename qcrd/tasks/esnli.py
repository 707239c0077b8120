"""e-SNLI: SNLI with human explanations (Camburu et al., 2018) (section 4.1).

Its own training, validation and test sets; the gold rationale is the first of its explanations.
"""

from __future__ import annotations

from qcrd.tasks.dealing import Sizes
from qcrd.tasks.nli import FIELDS, NliTask
from qcrd.tasks.sources import Hub, Layout


class Esnli(NliTask):
    """Captions of pictures, with hypotheses about the same picture."""

    name = "esnli"
    paper = Sizes(train=549_367, validation=9842, test=9824)
    explanation = "explanation_1"
    layout = Layout(
        name="esnli",
        fields=FIELDS,
        splits={"train": ("train",), "valid": ("validation",), "test": ("test",)},
        # The Hub's main branch holds a loading script, which nothing here runs; this one holds its rows.
        hub=Hub("esnli/esnli", revision="refs/convert/parquet"),
    )
