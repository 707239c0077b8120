import pytest
from chat_templates import NO_SYSTEM_ROLE

from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.teacher.chat import has_system_role, messages
from qcrd.types import Prompt

# As Gemma's: refuses a system message, and wants turns to alternate.
GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/...') }}{% endif %}"
    "<start_of_turn>{{ message['role'] }}\n{{ message['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# Loses a system message without a word.
DROPS = (
    "{% for message in messages %}{% if message.role == 'user' %}[INST] {{ message.content }} [/INST]"
    "{% elif message.role == 'assistant' %} {{ message.content }}</s>{% endif %}{% endfor %}"
)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Writes the system message into the first user turn by itself, as Llama 2's.
MERGES = (
    "{% if messages[0].role == 'system' %}{% set first = '<<SYS>>' + messages[0].content + '<</SYS>>' %}"
    "{% set messages = messages[1:] %}{% else %}{% set first = '' %}{% endif %}"
    "{% for message in messages %}{% if loop.first %}{{ first }}{% endif %}{{ message.content }}{% endfor %}"
)


def renderer(template):
    tokenizer = word_level_tokenizer(["a"], append_eos=False)
    tokenizer.chat_template = template
    return lambda asked: tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("template", "has"),
    [
        (GEMMA, False), (DROPS, False), (NO_SYSTEM_ROLE, False), (CHATML, True), (MERGES, True),
        ("{{ raise_exception('no chat at all') }}", True),  # not for want of a system role
    ],
)  # fmt: skip
def test_a_template_without_a_system_role_is_told_by_what_it_writes(template, has):
    assert has_system_role(renderer(template)) is has


@pytest.mark.parametrize("template", [GEMMA, DROPS])
def test_without_a_system_role_the_instructions_reach_the_model_all_the_same(template):
    prompt = Prompt("2 + 2?", system="Add the numbers.", examples=(("1 + 1?", "It is 2."),))
    text = renderer(template)(messages(prompt, system_role=False))
    assert text.index("Add the numbers.\n\n1 + 1?") < text.index("It is 2.") < text.index("2 + 2?")


def test_without_instructions_or_with_a_system_role_the_messages_are_the_prompts_own():
    plain, instructed = Prompt("2 + 2?"), Prompt("2 + 2?", system="Add.")
    assert messages(plain, system_role=False) == plain.messages
    assert messages(instructed) == instructed.messages
    assert messages(instructed, system_role=False) == [{"role": "user", "content": "Add.\n\n2 + 2?"}]
