"""What the package imports is declared in pyproject.toml, not only there by way of another package."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import qcrd

ROOT = Path(qcrd.__file__).parent
ELSEWHERE = {"trl"}  # imported by a script for a Python of its own (qcrd/bench/trl_peer.py)
PROJECT = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def declared() -> set[str]:
    """Names of the distributions that the package or one of its extras but `test` asks for."""
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(each for name in extras if name != "test" for each in extras[name])]
    return {normal(re.match(r"[\w.-]+", each)[0]) for each in asked}


def imported() -> dict[str, str]:
    """Third-party top-level modules with one of the files that import each, anywhere in it."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                if top != "qcrd" and top not in sys.stdlib_module_names:
                    found.setdefault(top, str(file.relative_to(ROOT.parent)))
    return found


def test_every_third_party_import_is_declared():
    provided, asked = packages_distributions(), declared()
    for module, file in imported().items():
        if module in ELSEWHERE:
            continue
        distributions = {normal(name) for name in provided.get(module, [module])}
        assert distributions & asked, f"{file} imports {module}; declare {' or '.join(distributions)}"
