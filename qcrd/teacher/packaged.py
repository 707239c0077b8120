"""The embedded teacher of the default recipe, which comes with the package.

It was trained by `embedded.ensure_embedded_teacher`. The step at which a recipe's training stops depends on
the machine's rounding, so the same weights for all are what makes tables of two machines comparable.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from qcrd.storage.bucket import Bucket
from qcrd.teacher.created import FIGURES, create_once
from qcrd.teacher.recipe import EmbeddedRecipe

PACKAGED = Path(__file__).parent / "pretrained"
"""Folders of teachers in the Hugging Face format, by the fingerprint of their recipe."""


def packaged_teacher(root: Path, recipe: EmbeddedRecipe, bucket: Bucket | None = None) -> Path | None:
    """Folder of the recipe's teacher in a home, copied from the package if it is missing.

    None if the package has none for this recipe and the home neither: then it has to be trained.

    Args:
        root: folder of the home's teachers.
        recipe: the recipe.
        bucket: where the folder is shared; None: nowhere.
    """
    folder = root / recipe.fingerprint()
    source = PACKAGED / folder.name
    if not (source / FIGURES).is_file():
        return folder if bucket is None and (folder / FIGURES).exists() else None

    def write(target: Path) -> None:
        shutil.copytree(source, target)

    return create_once(folder, bucket, write)
