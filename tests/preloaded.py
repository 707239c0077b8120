"""What processes that are forked in tests have imported: all that a driver and a cell need."""

import gc

from qcrd.environment import prepare
from qcrd.quick_imports import quick_model_imports

prepare()
with quick_model_imports():
    import pytest  # noqa: F401
    import small_cells  # noqa: F401
    import tiny_grid  # noqa: F401

    import qcrd.grid.run.driver
    import qcrd.tracking.mlflow.mirror  # noqa: F401
gc.freeze()  # and is not copied for each of them by a garbage collection
