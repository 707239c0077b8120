"""The table of faults in the docs names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
TABLE = (TESTS.parent / "docs" / "faults.md").read_text()


def test_every_test_that_the_table_names_exists():
    there = {
        name for file in TESTS.rglob("test_*.py") for name in re.findall(r"def test_(\w+)", file.read_text())
    }
    named = {name.rstrip("_") for name in re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+){3,}_?", TABLE)}
    assert len(named) > 30
    assert not [name for name in named if not any(each.startswith(name) for each in there)]


def test_every_file_that_the_table_names_exists():
    files = re.findall(r"`([\w/]+\.py)`", TABLE)
    assert files and not [file for file in files if not (TESTS / file).exists()]
