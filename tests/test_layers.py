"""The layers of the package: what may import what (the map is in the README)."""

import ast
import functools
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import qcrd

ROOT = Path(qcrd.__file__).parent
MODULES = {
    "qcrd." + file.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."): file
    for file in sorted(ROOT.rglob("*.py"))
    if file != ROOT / "__init__.py"
}
MODULES = {name.removesuffix(".__init__"): file for name, file in MODULES.items()}
PACKAGES = {
    name for name, file in MODULES.items() if file.name == "__init__.py" and not file.read_text().strip()
}

# From the bottom up. A module belongs to the longest of these names that it begins with; a room imports
# from floors below its own, and from itself.
FLOORS = [
    ["errors", "fingerprint", "seeds", "moved", "environment", "quick_imports"],
    ["types"],
    ["config", "storage"],
    ["plugins"],
    ["registry"],
    ["hub", "samples", "losses"],
    ["tasks"],
    ["rationales", "teacher", "methods"],
    ["student"],
    ["discriminator"],
    ["objectives"],
    ["training"],
    ["cell"],
    ["report", "tracking"],
    ["provenance", "bench"],
    ["judging", "export", "tracking.mlflow"],
    ["grid.console"],
    ["grid.cluster"],
    ["grid.plan"],
    ["grid.results"],
    ["grid.run"],
    ["grid.bench"],
    ["doctor"],
    ["faults"],
    ["api"],
    ["commands"],
    ["cli"],
    ["__main__"],
]
HOME = {  # the one place of each heavy library
    "ray": "qcrd.grid",
    "mlflow": "qcrd.tracking.mlflow",
    "vllm": "qcrd.teacher.vllm",
}


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    """The imports and strings of a file."""
    kinds = (ast.Import, ast.ImportFrom, ast.Constant)
    return [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, kinds)]


@functools.cache
def imports(file: Path) -> list[str]:
    """Dotted names of all that a file imports, wherever in it."""
    imported = []
    for node in nodes(file):
        if isinstance(node, ast.Import):
            imported += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            if not all(name in MODULES for name in names):  # else it is modules that are used of a package
                imported.append(node.module)
            imported += names
    return imported


def within(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def place(module: str) -> tuple[int, str]:
    """Floor and room of a module."""
    places = [
        (len(room), i, room)
        for i, rooms in enumerate(FLOORS)
        for room in rooms
        if within(module, f"qcrd.{room}")
    ]
    assert places, f"{module} is in no room; give it one in FLOORS"
    return max(places)[1:]


@pytest.mark.parametrize("module", [m for m in MODULES if m not in PACKAGES])
def test_imports_go_downward(module):
    floor, room = place(module)
    for name in imports(MODULES[module]):
        if name in MODULES and name not in PACKAGES:
            other_floor, other = place(name)
            assert other == room or other_floor < floor, f"{module} imports {name}, which is not below it"


def test_no_modules_import_each_other_in_a_circle():
    graph = {m: {i for i in imports(f) if i in MODULES and i != m} for m, f in MODULES.items()}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("library", HOME)
def test_a_heavy_library_has_one_home(library):
    for module, file in MODULES.items():
        if any(within(name, library) for name in imports(file)):
            assert within(module, HOME[library]), f"{module} imports {library}; its place is {HOME[library]}"


@pytest.mark.parametrize("package", ["losses", "student"])
def test_losses_and_student_need_torch_and_transformers_alone(package):
    allowed = {
        "torch",
        "transformers",
        "peft",
        "tokenizers",
        "safetensors",
        "numpy",
        "qcrd",
        *sys.stdlib_module_names,
    }
    for module, file in MODULES.items():
        if within(module, f"qcrd.{package}"):
            strange = {name.partition(".")[0] for name in imports(file)} - allowed
            assert not strange, f"{module} imports {', '.join(sorted(strange))}"


def test_planning_needs_no_ray():
    for file in (ROOT / "grid" / "plan").glob("*.py"):
        assert not any(within(i, "ray") for i in imports(file))


@pytest.mark.slow
def test_losses_and_student_import_where_the_rest_is_not_installed():
    names = [name for name in MODULES if within(name, "qcrd.losses") or within(name, "qcrd.student")]
    blocked = (
        "import gc, sys; gc.disable(); "
        "sys.modules.update(dict.fromkeys(['ray', 'vllm', 'mlflow', 'datasets', 'pyarrow', 'sklearn']))"
    )
    code = "; ".join([blocked, *(f"import {name}" for name in names)])
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


def test_modules_that_strings_name_exist():
    """Programs that are started by name (`python -m qcrd.x.y`) and what is imported by "module:name"."""
    for file in MODULES.values():
        if file.name == "moved.py":
            continue
        for node in nodes(file):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = re.fullmatch(r"(qcrd(?:\.\w+){2,})(?::\w+)?", node.value)
                assert name is None or name[1] in MODULES, f"{file}:{node.lineno} names {node.value}"
