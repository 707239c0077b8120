"""Files of a model and an estimate of the memory for its weights, without loading them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from qcrd.config import Teacher
from qcrd.hub import places

FLOATS = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
}  # bytes; converted to `teacher.dtype`
WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class Files:
    """Files of a model in a folder, in the cache or on the Hub."""

    where: str  # location for messages
    bytes: dict[str, int]  # file sizes by name
    elements: dict[str, int]  # number of tensor elements by safetensors' dtype; {} if unknown

    @property
    def stored(self) -> int:
        """Total size of the safetensors files in bytes."""
        return sum(size for name, size in self.bytes.items() if name.endswith(".safetensors"))


def find(place: str, revision: str | None) -> Files:
    """Find the files of a model.

    Args:
        place: folder or Hub id.
        revision: of a Hub id; None is the newest.

    Raises:
        Exception: various exceptions of huggingface_hub: no connection, no such model, no access.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    folder = Path(places.place(place))
    if folder.is_dir():
        return _of_folder(folder, "(folder)")
    cached = try_to_load_from_cache(place, "config.json", revision=revision)
    if isinstance(cached, str) and any(Path(cached).parent.glob("*.safetensors")):
        return _of_folder(Path(cached).parent, "(in the cache)")
    info = HfApi().model_info(place, revision=revision, files_metadata=True, timeout=10)
    elements = dict(info.safetensors.parameters) if info.safetensors else {}
    return Files("(on the Hub)", {file.rfilename: file.size or 0 for file in info.siblings}, elements)


def loaded_bytes(files: Files, teacher: Teacher, on_gpu: bool) -> int:
    """Lower bound of an engine's memory for the weights, in bytes; 0 if unknown.

    Args:
        files: of the model.
        teacher: settings with `dtype` and `quantization`.
        on_gpu: whether the engine runs on a GPU; without `dtype`, two bytes per element are then assumed.
    """
    if teacher.quantization and not any(kind not in FLOATS for kind in files.elements):
        return 0  # quantised while loading, to an unknown size
    width = WIDTHS.get(teacher.dtype or ("auto" if on_gpu else "float32"), 2)
    if not files.elements:
        return files.stored
    return sum(count * (width if kind in FLOATS else 1) for kind, count in files.elements.items())


def _of_folder(folder: Path, where: str) -> Files:
    from safetensors import SafetensorError, safe_open

    elements: Counter[str] = Counter()
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a dictionary
                    tensor, size = file.get_slice(name), 1
                    for length in tensor.get_shape():
                        size *= length
                    elements[tensor.get_dtype()] += size
        except (OSError, SafetensorError):  # reported when the model is loaded
            elements.clear()
            break
    return Files(where, {f.name: f.stat().st_size for f in folder.iterdir() if f.is_file()}, dict(elements))
