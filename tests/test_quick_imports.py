"""The start of drivers and workers: what their processes import, and that nothing is missing later."""

import gc
import json
import subprocess
import sys

import pytest

from qcrd.quick_imports import quick_imports

CODE = """
import gc, json, sys
from qcrd.quick_imports import quick_imports, quick_model_imports
told = {}
with quick_imports():
    import qcrd.grid.run.driver
told["driver"] = sorted(sys.modules)
with quick_model_imports():
    import qcrd.cell.run
told["cell"] = sorted(sys.modules)
told["collects"] = gc.isenabled()
from transformers import T5ForConditionalGeneration
import sklearn.metrics
told["later"] = sorted(sys.modules)
print(json.dumps(told))
"""


@pytest.mark.slow
def test_a_driver_needs_no_torch_and_a_cell_no_sklearn_which_others_can_still_import():
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert not {"torch", "transformers", "scipy", "sklearn", "mlflow"} & set(told["driver"])
    assert not {"sklearn", "scipy.stats", "vllm", "mlflow"} & set(told["cell"])
    assert {"torch", "transformers.models.t5.modeling_t5"} <= set(told["cell"])
    assert "sklearn.metrics" in told["later"]
    assert told["collects"]


def test_garbage_is_collected_again_even_after_an_import_that_fails():
    with pytest.raises(ModuleNotFoundError), quick_imports():
        assert not gc.isenabled()
        import nothing_of_this_name  # noqa: F401
    assert gc.isenabled()
