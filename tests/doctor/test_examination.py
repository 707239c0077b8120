"""All looks together, where things are broken."""

import subprocess
import sys

CODE = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
from pathlib import Path
from qcrd.doctor.examination import examination
from qcrd.storage.home import Home
for check in examination(Home(Path({home!r})), "http://127.0.0.1:9", Path("absent.yaml"), None):
    print(check.state, check.name)
"""


def test_a_library_that_cannot_be_imported_hides_nothing_else(tmp_path):
    missing = ["pyarrow", "torch", "httpx2", "datasets"]
    told = subprocess.run(
        [sys.executable, "-c", CODE.format(missing=missing, home=str(tmp_path))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    states = dict(reversed(line.split(" ", 1)) for line in told.stdout.splitlines())
    broken = ("models", "GPU", "MLflow", "Hub", "grid")
    assert {name: states[name] for name in broken} == dict.fromkeys(broken, "error")
    whole = ("versions", "clock", "samples", "results")  # an empty home needs none of the libraries
    assert {name: states[name] for name in whole} == dict.fromkeys(whole, "ok")
    assert {"memory", "open files", "home", "disk"} <= set(states)
