"""The audit of dependencies says what is known, and never that nothing is where it could not ask."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "cluster" / "audit.py"
sys.path.insert(0, str(SCRIPT.parent))

from audit import findings  # noqa: E402 - a script beside the package


def test_each_hole_has_a_line_with_the_version_that_mends_it():
    written = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1", "2"]}]},
            {"name": "b", "version": "2", "vulns": []},
            {"name": "c", "skip_reason": "not found"},
        ]
    }
    assert list(findings(json.dumps(written))) == [
        "a 1: CVE-1, mended in 1.1, 2",
        "2 packages looked up, 1 with known vulnerabilities",
        "not looked up: c",
    ]


@pytest.mark.slow
def test_where_nobody_can_be_asked_that_is_said_and_nothing_fails():
    with pytest.raises(ValueError, match="Expecting value"):
        list(findings(""))
    # Without site-packages there is no pip-audit, as there is no answer without a network.
    done = subprocess.run([sys.executable, "-S", str(SCRIPT)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("audit: not done: ")
