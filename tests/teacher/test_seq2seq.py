import logging
from dataclasses import replace

import pytest
import torch
from small import small_student
from transformers import BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel

from qcrd import config, tasks
from qcrd.errors import ConfigError
from qcrd.samples.requests import requests
from qcrd.student.tokenizer import load_tokenizer
from qcrd.tasks.arithmetic import generate
from qcrd.teacher.seq2seq import Seq2SeqSampler
from qcrd.types import Prompt


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random T5 with the arithmetic task's words."""
    path = tmp_path_factory.mktemp("t5")
    small_student().save(path)
    return path


@pytest.fixture(scope="module")
def asked():
    return requests(generate(seed=3, n=8), tasks.get("arithmetic").prompt, 3, 0)


def sampler(folder, **settings):
    return Seq2SeqSampler(str(folder), **{"max_tokens": 12, "temperature": 1.0} | settings)


def answers(sampler, asked):
    """The samples in the order of their requests."""
    found = {(s.prompt_id, s.index): s for batch in sampler(asked) for s in batch}
    assert len(found) == len(asked)
    return [found[r.key] for r in asked]


def test_a_sample_depends_on_its_request_alone(folder, asked):
    whole = answers(sampler(folder), asked)
    assert answers(sampler(folder, batch_tokens=1), asked[::-1]) == whole[::-1]
    assert answers(sampler(folder, batch_tokens=120), asked[5:11]) == whole[5:11]


def test_draws_differ_and_greedy_ones_do_not(folder, asked):
    assert len({s.text for s in answers(sampler(folder), asked)}) == len(asked)
    greedy = answers(sampler(folder, temperature=0.0), asked)
    assert all(s.text == greedy[i - i % 3].text for i, s in enumerate(greedy))


def test_greedy_answers_are_those_of_the_model_itself(folder, asked):
    student = small_student()
    student.eval()
    inputs = student.completions([r.prompt.text for r in asked[::3]], 512)
    plain = [student.text(tokens) for tokens in student.generate(inputs, 12)]
    assert [s.text for s in answers(sampler(folder, temperature=0.0), asked[::3])] == plain


def test_the_likeliest_answers_alone_are_left_by_a_small_nucleus(folder, asked):
    greedy = answers(sampler(folder, temperature=0.0), asked)
    assert answers(sampler(folder, top_p=1e-6), asked) == greedy


def test_first_tokens_come_as_often_as_the_model_says(folder, asked):
    prompt = asked[0].prompt
    many = [replace(asked[0], index=i, seed=1000 + i) for i in range(2000)]
    texts = [s.text for s in answers(sampler(folder, max_tokens=1), many)]
    student = small_student()
    with torch.no_grad():
        logits = student.model(
            input_ids=torch.tensor(student.completions([prompt.text], 512)),
            decoder_input_ids=torch.tensor([[student.start_id]]),
        ).logits[0, 0]
    for token in logits.topk(5).indices.tolist():
        share, expected = texts.count(student.text([token])) / len(texts), logits.softmax(-1)[token].item()
        assert abs(share - expected) < 4 * (expected / len(texts)) ** 0.5


def test_a_stop_string_ends_the_answer_and_is_no_part_of_it(folder, asked):
    whole = answers(sampler(folder, max_tokens=20), asked)
    words = whole[0].text.split()
    stop = [f"{words[2]}\n {words[3]}", "never"]  # white space stands for any: T5 writes only spaces
    spelled = f"{words[2]} {words[3]}"
    cut = answers(sampler(folder, max_tokens=20, stop=stop), asked)
    assert cut[0].text == whole[0].text.split(spelled)[0] != whole[0].text
    assert (cut[0].finish_reason, cut[0].tokens) == ("stop", 4)
    for before, after in zip(whole, cut, strict=True):
        assert after == before if spelled not in before.text else after.finish_reason == "stop"
    alone = sampler(folder, max_tokens=20, stop=stop, batch_tokens=1)
    assert answers(alone, asked[:4]) == cut[:4]


def test_an_answer_ends_by_itself_or_is_cut_off_and_its_tokens_are_counted(folder, asked):
    many = [replace(r, index=i, seed=i) for i in range(100) for r in asked[:6:3]]
    samples = answers(sampler(folder, max_tokens=30), many)
    assert {s.finish_reason for s in samples} == {"stop", "length"}
    for sample in samples:
        assert sample.tokens == 30 if sample.finish_reason == "length" else sample.tokens <= 30
        assert "</s>" not in sample.text and "<pad>" not in sample.text


def test_a_higher_limit_changes_no_answer_that_ended_before(folder, asked):
    low, high = (answers(sampler(folder, max_tokens=n), asked) for n in (6, 18))
    for short, long in zip(low, high, strict=True):
        assert long == short if short.finish_reason == "stop" else long.text.startswith(short.text[:-1])


def test_it_is_fed_and_worked_off_as_the_other_engines(folder, asked):
    engine = sampler(folder, batch_tokens=1)
    assert engine.take(0) == []
    engine.feed(asked[:2])
    first = engine.take(0)
    engine.feed(asked[2:4])
    rest = engine.take(60)
    assert len(first) == 1 and len(rest) == 3 and engine.take(60) == []
    assert {(s.prompt_id, s.index) for s in first + rest} == {r.key for r in asked[:4]}


def test_a_prompt_beyond_what_a_t5_was_made_for_is_read_whole_and_said_once(folder, asked, caplog):
    engine = sampler(folder)
    engine._tokenizer.model_max_length = 10
    with caplog.at_level(logging.WARNING):
        assert answers(engine, asked) == answers(sampler(folder), asked)
        engine.feed(asked)
    assert caplog.text.count("task.prompt") == 1


def test_a_model_with_a_table_of_positions_refuses_what_is_longer(tmp_path, asked):
    tokenizer = load_tokenizer(config.Student())
    shape = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 64}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": len(tokenizer)}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 0, "decoder_start_token_id": 1}
    BartForConditionalGeneration(BartConfig(**shape, **heads, **ids)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert len(answers(sampler(tmp_path), asked[:2])) == 2
    with pytest.raises(ConfigError, match=r"reads at most 64; give task\.prompt"):
        sampler(tmp_path).feed([replace(asked[0], prompt=Prompt(asked[0].prompt.text * 9))])
    with pytest.raises(ConfigError, match=r"teacher\.max_tokens is 64"):
        sampler(tmp_path, max_tokens=64)


def test_pickled_weights_causal_models_and_absent_ones_are_refused_with_what_is_allowed(tmp_path, folder):
    pickled, causal = tmp_path / "pickled", tmp_path / "causal"
    small_student().save(pickled)
    (pickled / "model.safetensors").unlink()
    torch.save(small_student().model.state_dict(), pickled / "pytorch_model.bin")
    GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=50)).save_pretrained(causal)
    small_student().tokenizer.save_pretrained(causal)
    for wrong in (pickled, causal, tmp_path / "absent"):
        with pytest.raises(ConfigError, match=r"teacher\.model is .*safetensors.*teacher\.engine: vllm"):
            sampler(wrong)
