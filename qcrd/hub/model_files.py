"""A model's weights before anybody loads them: which files there are, and what they will take of memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from qcrd.config import Teacher

FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # bytes; what is stored so is loaded as `teacher.dtype`
WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True)
class Files:
    """A model in a folder, in the cache or on the Hub."""

    where: str  # for people
    bytes: dict[str, int]  # by file name
    elements: dict[str, int]  # of its tensors, by safetensors' names of types; {} where that is not known

    @property
    def stored(self) -> int:
        """Bytes of the weights in safetensors."""
        return sum(size for name, size in self.bytes.items() if name.endswith(".safetensors"))


def find(place: str, revision: str | None) -> Files:
    """The files of a model.

    Args:
        place: folder or Hub id.
        revision: of a Hub id; None is the newest.

    Raises:
        Exception: of many kinds, the library's own: no connection, no such model, no access.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    folder = Path(place)
    if folder.is_dir():
        return _of_folder(folder, "(folder)")
    cached = try_to_load_from_cache(place, "config.json", revision=revision)
    if isinstance(cached, str) and any(Path(cached).parent.glob("*.safetensors")):
        return _of_folder(Path(cached).parent, "(in the cache)")
    found = HfApi().model_info(place, revision=revision, files_metadata=True, timeout=10)
    elements = dict(found.safetensors.parameters) if found.safetensors else {}
    return Files("(on the Hub)", {file.rfilename: file.size or 0 for file in found.siblings}, elements)


def loaded_bytes(files: Files, teacher: Teacher, on_gpu: bool) -> int:
    """Bytes that an engine holds for the weights alone, at least; 0 where that cannot be known.

    Args:
        files: of its model.
        teacher: whose `dtype` and `quantization` count.
        on_gpu: whether it works there: then types are the model's own, in two bytes, if nobody says.
    """
    if teacher.quantization and not any(kind not in FLOATS for kind in files.elements):
        return 0  # made smaller while it is loaded
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
                for name in file.keys():  # noqa: SIM118 - it is no dictionary
                    tensor, size = file.get_slice(name), 1
                    for length in tensor.get_shape():
                        size *= length
                    elements[tensor.get_dtype()] += size
        except (OSError, SafetensorError):  # whoever loads it says what is wrong
            elements.clear()
            break
    return Files(where, {f.name: f.stat().st_size for f in folder.iterdir() if f.is_file()}, dict(elements))
