"""Where the grids are that come with qcrd: in its clone, or where a wheel puts them."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import qcrd
from qcrd.errors import DataError

_IN_WHEEL = "share/qcrd/grids/"  # `data-files` in pyproject.toml


def shipped_folder() -> Path:
    """The folder of the grids that come with qcrd.

    Raises:
        DataError: if it is not installed.
    """
    package = Path(qcrd.__file__).parent
    beside = package.parent / "grids"
    if beside.is_dir():
        return beside
    for file in metadata.files("qcrd") or ():
        if _IN_WHEEL in file.as_posix():
            return Path(str(file.locate())).resolve().parent
    raise DataError(
        f"there are no grids beside {package}; give a folder with grids, or `qcrd init NAME` writes one"
    )


def names_grid(text: str) -> bool:
    """Whether an argument of the command line, which could be an id as well, is a grid's file or name."""
    path = Path(text)
    return path.suffix in (".yaml", ".yml") or path.is_file() or shipped_grid(text) is not None


def shipped_names() -> list[str]:
    """The names of the grids that come with qcrd; [] if they are not installed."""
    try:
        return sorted(path.stem for path in shipped_folder().glob("*.yaml"))
    except DataError:
        return []


def shipped_grid(name: str) -> Path | None:
    """The file of the grid of this name, such as `table1`, that comes with qcrd; None if none does."""
    if not name.replace("_", "").replace("-", "").isalnum():
        return None
    try:
        path = shipped_folder() / f"{name}.yaml"
    except DataError:
        return None
    return path if path.is_file() else None
