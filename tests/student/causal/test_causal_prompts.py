"""Prompts of decoder-only students: plain, by a chat template, from a file."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from qcrd.errors import ConfigError
from qcrd.student.causal.prompts import load_prompts

QWEN = (
    "{%- if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n"
    "{%- if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "<|begin_of_text|>{%- for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{%- if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
SPECIAL = {
    QWEN: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    LLAMA: ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
}
QUESTION = "Ann has 3 pens and 12 cups, naïve as she is. How many things are there?"
KINDS = ("predict", "explain")


def byte_level(template):
    """A byte-level BPE tokenizer with a family's special tokens; pad and end of text are one, as in Qwen."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    special = SPECIAL[template]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    own.train_from_iterator(
        [QUESTION, "Answer: 3 + 12", "Reasoning: there are 15 things", "Q: "] * 3, trainer
    )
    end = special[0] if template == QWEN else special[1]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token=end, eos_token=end, additional_special_tokens=special
    )
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(params=[QWEN, LLAMA], ids=["qwen", "llama"])
def tokenizer(request):
    return byte_level(request.param)


def test_a_plain_prompt_and_its_completion_are_tokenised_as_their_text(tokenizer):
    prompts = load_prompts("plain", tokenizer)
    for kind, cue in zip(KINDS, ("Answer", "Reasoning"), strict=True):
        (row,), cut = prompts.tokens(kind, [QUESTION], 200)
        (answer,) = prompts.completions(["3 + 12"], 20)
        assert cut == [0]
        assert tokenizer.decode(row) == f"Q: {QUESTION}\n{cue}:"
        assert answer[-1] == tokenizer.eos_token_id
        assert [*row, *answer[:-1]] == tokenizer(f"Q: {QUESTION}\n{cue}: 3 + 12")["input_ids"]


@pytest.mark.parametrize("name", ["plain", "chat"])
def test_both_kinds_share_the_question_as_a_prefix(tokenizer, name):
    prompts = load_prompts(name, tokenizer)
    rows = [prompts.tokens(kind, [QUESTION], 200)[0][0] for kind in KINDS]
    common = next(n for n, pair in enumerate(zip(*rows, strict=False)) if pair[0] != pair[1])
    assert QUESTION in tokenizer.decode(rows[0][:common])


def test_a_chat_prompt_with_its_completion_is_the_template_s_conversation(tokenizer):
    prompts = load_prompts("chat", tokenizer)
    (row,), _ = prompts.tokens("predict", [QUESTION], 200)
    (answer,) = prompts.completions(["3 + 12"], 20)
    messages = [
        {"role": "user", "content": f"{QUESTION}\nGive only the answer."},
        {"role": "assistant", "content": "3 + 12"},
    ]
    wanted = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode([*row, *answer]) == wanted.rstrip("\n")
    assert tokenizer.decode([answer[-1]]) in ("<|im_end|>", "<|eot_id|>")
    assert answer[-1] != tokenizer.pad_token_id
    assert answer.count(answer[-1]) == 1


@pytest.mark.parametrize("name", ["plain", "chat", "file"])
def test_what_is_too_long_loses_tokens_of_the_question_alone_and_they_are_counted(tokenizer, name, tmp_path):
    if name == "file":
        name = str(tmp_path / "prompt.txt")
        (tmp_path / "prompt.txt").write_text("Solve this.\n{question}\nNow the {cue}:\n")
    prompts = load_prompts(name, tokenizer)
    (whole,), _ = prompts.tokens("predict", [QUESTION], 400)
    size = len(tokenizer(QUESTION)["input_ids"])
    before, after = tokenizer.decode(whole).split(QUESTION)
    for limit in range(len(whole) - size + 2, len(whole)):
        (row, short), (lost, none) = prompts.tokens("predict", [QUESTION, "Ann"], limit)
        assert len(row) <= limit
        text = tokenizer.decode(row)
        assert text.startswith(before)
        assert text.endswith(after)
        assert QUESTION.startswith(text.removeprefix(before).removesuffix(after))
        assert len(whole) - limit <= lost <= len(whole) - limit + 4  # a character has several bytes
        assert none == 0
        assert tokenizer.decode(short) == before + "Ann" + after
    with pytest.raises(ConfigError, match="template alone has"):
        prompts.tokens("predict", [QUESTION], len(whole) - size - 3)


def test_prompts_differ_in_identity(tokenizer, tmp_path):
    (tmp_path / "prompt.txt").write_text("{question} {cue}")
    names = ("plain", "chat", str(tmp_path / "prompt.txt"))
    assert len({load_prompts(name, tokenizer).identity for name in names}) == 3


def test_unusable_prompts_are_refused(tokenizer, tmp_path):
    for text in ("{question}", "{cue} {question}", "{question} {question} {cue}"):
        (tmp_path / "prompt.txt").write_text(text)
        with pytest.raises(ConfigError, match="must hold"):
            load_prompts(str(tmp_path / "prompt.txt"), tokenizer)
    with pytest.raises(ConfigError, match="allowed: plain, chat, or a text file"):
        load_prompts(str(tmp_path / "absent.txt"), tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        load_prompts("chat", tokenizer)
    tokenizer.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(ConfigError, match="does not take"):
        load_prompts("chat", tokenizer)


def test_a_token_that_begins_every_text_begins_every_prompt():
    from tokenizers import processors

    tokenizer = byte_level(LLAMA)
    begin = tokenizer.convert_tokens_to_ids("<|begin_of_text|>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", begin)]
    )
    for name in ("plain", "chat"):
        (row,), _ = load_prompts(name, tokenizer).tokens("predict", [QUESTION], 200)
        assert row[0] == begin
        assert row.count(begin) == 1
