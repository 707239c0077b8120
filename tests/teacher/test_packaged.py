"""The embedded teacher that comes with the package."""

import json
from dataclasses import asdict, fields, replace

import pathspec
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from qcrd.tasks.arithmetic import vocabulary
from qcrd.teacher import embedded
from qcrd.teacher.created import FIGURES
from qcrd.teacher.packaged import PACKAGED, packaged_teacher
from qcrd.teacher.recipe import EmbeddedRecipe

RECIPE = EmbeddedRecipe()


def test_the_default_recipe_has_a_teacher_in_the_package_that_was_trained_by_it():
    (folder,) = [path for path in PACKAGED.iterdir() if path.is_dir()]
    assert folder.name == RECIPE.fingerprint(), "the recipe has changed: train it anew"
    figures = json.loads((folder / FIGURES).read_text())
    assert {f.name: figures[f.name] for f in fields(RECIPE)} == asdict(RECIPE)
    assert RECIPE.accuracy <= figures["sampling_accuracy"] < RECIPE.accuracy + 0.05
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer) == len(vocabulary()) + 3


def test_it_is_copied_into_the_home_and_not_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "_train", lambda *_: pytest.fail("trained"))
    folder = embedded.ensure_embedded_teacher(tmp_path, RECIPE, lambda *_: None)
    assert folder == tmp_path / RECIPE.fingerprint() == packaged_teacher(tmp_path, RECIPE)
    for path in (PACKAGED / folder.name).iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_teacher_that_the_home_has_stays_and_another_recipe_has_none(tmp_path):
    own = tmp_path / RECIPE.fingerprint()
    own.mkdir()
    (own / FIGURES).write_text("{}")
    assert packaged_teacher(tmp_path, RECIPE) == own
    assert [path.name for path in own.iterdir()] == [FIGURES]
    assert packaged_teacher(tmp_path, replace(RECIPE, accuracy=0.4)) is None


def test_its_weights_travel_with_a_ray_job():
    lines = (PACKAGED.parents[2] / ".rayignore").read_text().splitlines()
    ignored = pathspec.PathSpec.from_lines("gitignore", lines)
    weights = next(PACKAGED.glob("*/model.safetensors")).relative_to(PACKAGED.parents[2])
    assert not ignored.match_file(weights)
    assert ignored.match_file("students/model.safetensors")
