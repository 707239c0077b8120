import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_teacher import TINY, ignore
from transformers import AutoModelForCausalLM, AutoTokenizer

from qcrd import config, tasks
from qcrd.errors import QcrdError
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.tasks.arithmetic import generate, vocabulary
from qcrd.teacher import embedded
from qcrd.teacher.chat import NO_SYSTEM
from qcrd.teacher.embedded import ensure_embedded_teacher
from qcrd.teacher.recipe import _KNOWN_DATA, EmbeddedRecipe


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return ensure_embedded_teacher(tmp_path_factory.mktemp("teachers"), TINY, ignore)


def test_every_text_of_the_task_passes_through_the_tokenizer_unchanged():
    task = tasks.get("arithmetic")
    tokenizer = word_level_tokenizer(vocabulary(), append_eos=False)
    for question in generate(seed=5, n=300):
        for text in (task.prompt(question).text, task.target(question.rationale, question.label)):
            ids = tokenizer(text).input_ids
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text


def test_for_students_encoding_ends_with_the_end_token_and_padding_comes_first_of_all_ids():
    tokenizer = word_level_tokenizer(["a", "b"], append_eos=True)
    assert tokenizer("b a").input_ids == [4, 3, tokenizer.eos_token_id]
    assert tokenizer("zzz").input_ids[0] == tokenizer.unk_token_id
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    batch = tokenizer(["a", "a b"], padding=True)
    assert batch.attention_mask == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.slow
def test_the_teacher_is_trained_once_and_loads_as_a_hugging_face_folder(tiny):
    def retrained(*progress):
        raise AssertionError("trained a second time")

    assert ensure_embedded_teacher(tiny.parent, TINY, retrained) == tiny
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    assert model.config.vocab_size == len(tokenizer) == len(vocabulary()) + 3
    assert json.loads((tiny / "training.json").read_text())["steps"] == 30
    assert not list(tiny.parent.glob("*.tmp"))


@pytest.mark.slow
def test_of_two_that_want_the_teacher_at_once_one_trains_it(tmp_path):
    trained = []
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(ensure_embedded_teacher, tmp_path, TINY, lambda *at: trained.append(at))
            for _ in range(2)
        ]
    assert jobs[0].result() == jobs[1].result()
    assert len(trained) == 1


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_weights_and_another_one_another_folder(tiny, tmp_path):
    torch.manual_seed(99)
    again = ensure_embedded_teacher(tmp_path, TINY, ignore)
    assert (again / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert EmbeddedRecipe.of(config.Teacher(accuracy=0.3)).fingerprint() != EmbeddedRecipe().fingerprint()


@pytest.mark.slow
def test_an_accuracy_out_of_reach_is_an_error_that_leaves_nothing_behind(tmp_path):
    with pytest.raises(QcrdError, match=r"teacher\.accuracy asks for 1\.00; ask for less"):
        ensure_embedded_teacher(tmp_path, replace(TINY, accuracy=1.0, max_steps=30), ignore)
    assert [p.suffix for p in tmp_path.iterdir()] in ([], [".lease"])


@pytest.fixture(scope="session")
def sampled(tiny, tmp_path_factory) -> dict:
    """What real vLLM engines answered, in a process of their own (see vllm_script.py)."""
    out = tmp_path_factory.mktemp("vllm") / "sampled.json"
    script = Path(__file__).with_name("vllm_script.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tiny), str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text()) | {"noise": done.stdout + done.stderr}


@pytest.mark.slow
def test_a_vllm_sample_does_not_depend_on_its_batch(sampled):
    assert sampled["reversed"] == sampled["batch"]
    assert sampled["alone"] == sampled["batch"][: len(sampled["alone"])]


@pytest.mark.slow
def test_the_draws_of_a_question_and_the_questions_differ(sampled):
    texts = [s["text"] for s in sampled["batch"]]
    assert len(set(texts)) == len(texts)


@pytest.mark.slow
def test_tokens_and_finish_reason_are_the_engines(sampled):
    assert {s["finish_reason"] for s in sampled["batch"]} <= {"length", "stop"}
    assert all((s["tokens"] == 16) == (s["finish_reason"] == "length") for s in sampled["batch"])


@pytest.mark.slow
def test_a_chat_template_is_used_where_there_is_one_and_a_stop_string_ends_the_answer(sampled):
    assert not sampled["plain has chat"] and sampled["chat has chat"]
    assert sampled["chat"] == [s["text"].split(sampled["stop"])[0] for s in sampled["batch"]]


@pytest.mark.slow
def test_without_a_system_role_the_instructions_begin_the_first_user_message(sampled):
    assert sampled["folded"] == sampled["chat"]


@pytest.mark.slow
def test_a_prompt_that_is_too_long_is_refused_with_what_to_do(sampled):
    assert "teacher.max_len" in sampled["too long"]


def test_near_its_goal_the_accuracy_is_checked_more_often(monkeypatch):
    found = iter([0.1, 0.3, 0.5, 0.46, 0.52, 0.56])
    monkeypatch.setattr(embedded, "sampling_accuracy", lambda *_: next(found))
    checked = []
    recipe = replace(TINY, accuracy=0.55, check_from=4, check_every=6, check_near=2, near=0.1)
    _, _, figures = embedded._train(recipe, lambda step, *_: checked.append(step))
    assert checked == [4, 10, 16, 18, 20, 22]
    assert (figures["steps"], figures["sampling_accuracy"]) == (22, 0.56)


@pytest.mark.slow
def test_the_engine_says_once_that_a_template_has_no_system_role_and_nothing_else(sampled):
    [said] = sampled["noise"].splitlines()
    assert re.fullmatch(re.escape(NO_SYSTEM).replace("%s", ".*chatty"), said)


def test_the_data_of_the_default_recipe_is_the_one_that_is_written_down():
    default = EmbeddedRecipe()
    assert {(default.seed, default.problems + default.held_out): default.data_fingerprint()} == _KNOWN_DATA
