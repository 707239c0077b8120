"""What every student promises, whatever its architecture (`qcrd.student.base`)."""

import pytest
import torch
from causal_models import causal_student
from daily import some
from small import CPU, small_student
from torch.testing import assert_close

from qcrd import config
from qcrd.student.load import load_student

QUESTIONS = ["Tom has 8 apples .", "Ann has 3 pens and 5 pens .", "Tom has 8 apples . He has 2 ."]
COMPLETIONS = ["8", "Ann has 3 pens and 5 pens .", "8 - 2", "He has 8 .", "He has 2 apples .", "3 + 5"]
SOURCE = [0, 4, 2, 3, 5, 1]  # predict prompts of the three questions, then explain prompts
LIMIT = 24
STUDENTS = some(
    ["t5", "llama", "qwen2", "qwen3", "gpt_neox", "llama-lora", "qwen2-lora", "qwen3-lora"],
    ["t5", "llama", "qwen3-lora"],
)


@pytest.fixture(params=STUDENTS)
def student(request):
    return made(request.param)


def made(name, seed=0, max_tokens=None):
    if name != "t5":
        return causal_student(name, seed, max_tokens)
    student = small_student(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3, generator=generator)
    return student.eval()


def asked(student):
    return [p for kind in ("predict", "explain") for p in student.prompts(kind, QUESTIONS, LIMIT)]


def answers(student):
    return student.completions(COMPLETIONS, LIMIT)


def gradients(student, values):
    student.zero_grad()
    (values * torch.linspace(-1, 2, len(values))).sum().backward()
    return {n: p.grad.clone() for n, p in student.named_parameters() if p.grad is not None}


def test_prompts_tell_the_kinds_apart_and_keep_to_the_limit(student):
    for limit in (8, LIMIT):
        both = [student.prompts(kind, QUESTIONS, limit) for kind in ("predict", "explain")]
        assert all(0 < len(row) <= limit for rows in both for row in rows)
        assert all(a != b for a, b in zip(*both, strict=True))
    rows = student.prompts("explain", QUESTIONS, 1000)
    assert student.prompt_lengths("explain", QUESTIONS) == [len(row) for row in rows]
    assert student.prompt("predict", QUESTIONS[0]) != student.prompt("explain", QUESTIONS[0])
    assert all(QUESTIONS[0] in student.prompt(kind, QUESTIONS[0]) for kind in ("predict", "explain"))


def test_completions_end_with_their_end_token_and_come_back_as_text(student):
    for text, row in zip(COMPLETIONS, answers(student), strict=True):
        assert row[-1] == student.eos_id
        assert row.count(student.eos_id) == 1
        assert student.text(row[:-1]) == student.text(row) == text.replace(" .", ".")
    cut = student.completions(COMPLETIONS, 3)
    assert all(len(row) <= 3 and row[-1] == student.eos_id for row in cut)


def test_a_likelihood_does_not_depend_on_what_else_is_in_the_batch(student):
    prompts, rows = asked(student), answers(student)
    together = student.cross_entropy(student.read(prompts), SOURCE, rows)
    for number, (place, row) in enumerate(zip(SOURCE, rows, strict=True)):
        alone = student.cross_entropy(student.read([prompts[place]]), [0], [row])
        assert_close(together[number], alone[0], rtol=1e-5, atol=1e-5)
    assert together.min() > 0


def test_weights_choose_the_tokens_that_count(student):
    prompts, rows = student.read(asked(student)), answers(student)
    plain = student.cross_entropy(prompts, SOURCE, rows)
    twice = student.cross_entropy(prompts, SOURCE, rows, [[2.0] * len(row) for row in rows])
    assert_close(plain, twice)
    none = student.cross_entropy(prompts, SOURCE, rows, [[0.0] * len(rows[0]), *[None] * 5])
    assert none[0] == 0
    assert_close(none[1:], plain[1:])
    each = [
        student.cross_entropy(prompts, SOURCE[1:2], rows[1:2], [[float(i == n) for i in range(len(rows[1]))]])
        for n in range(len(rows[1]))
    ]
    assert_close(torch.cat(each).mean(), plain[1], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="weights for a"):
        student.cross_entropy(prompts, SOURCE, rows, [[1.0], *[None] * 5])


def test_what_was_scored_can_be_differentiated_afterwards(student):
    prompts, rows = asked(student), answers(student)
    chosen = [4, 0, 1]
    read = student.read(prompts)
    some = student.cross_entropy(read, [SOURCE[n] for n in chosen], [rows[n] for n in chosen])
    wanted = gradients(student, some)
    scored = student.score(student.read(prompts), SOURCE, rows)
    assert not scored.values.requires_grad
    assert_close(scored.values[chosen], some.detach(), rtol=1e-5, atol=1e-5)
    assert_close(gradients(student, scored.differentiable(chosen)), wanted, rtol=1e-4, atol=1e-6)


def test_generating_is_reproducible_and_leaves_the_mode_as_it_was(student):
    prompts = asked(student)
    greedy = student.generate(prompts, 6)
    assert len(greedy) == len(prompts)
    assert all(len(row) <= 6 and student.eos_id not in row for row in greedy)
    assert student.generate(prompts, 6, batch=2) == greedy

    def sample(seed):
        return student.generate(prompts, 6, 1.5, torch.Generator().manual_seed(seed), draws=2, top_k=20)

    assert sample(0) == sample(0) != sample(1)
    assert student.train().generate(prompts, [1, 2, 3, 4, 5, 0])[5] == []
    assert student.training


def test_greedy_writes_what_the_likelihood_finds_likeliest(student):
    prompts = asked(student)
    tokens = [[token] for token in range(len(student.tokenizer))]
    for place, prompt in enumerate(prompts):
        values = student.cross_entropy(student.read(prompts), [place] * len(tokens), tokens)
        (written,) = student.generate([prompt], 1)
        assert (written or [student.eos_id]) == tokens[int(values.argmin())]


def test_weights_go_out_and_in_and_are_carried_for_a_while(student):
    prompts, rows = asked(student), answers(student)

    def values():
        return student.cross_entropy(student.read(prompts), SOURCE, rows).detach()

    own, before = student.weights(), values()
    other = {name: tensor + 0.1 for name, tensor in own.items()}
    with student.carrying(other):
        assert not torch.equal(values(), before)
    assert torch.equal(values(), before)
    student.set_weights(other)
    assert {n: t.device.type for n, t in student.weights().items()} == dict.fromkeys(own, "cpu")
    assert not torch.equal(values(), before)
    with pytest.raises(ValueError, match="another model"):
        student.set_weights({"strange": torch.zeros(1)})


# Not qwen2: transformers gives a folder of its family the family's own tokenizer, whatever is saved there.
@pytest.mark.parametrize("name", ["t5", "llama", "qwen3"])
def test_a_saved_student_is_a_checkpoint_to_start_from(name, tmp_path):
    student = made(name)
    student.save(tmp_path)
    assert list(tmp_path.glob("*.safetensors"))
    again = load_student(config.Student(checkpoint=str(tmp_path)), 9, CPU).eval()
    assert type(again) is type(student)
    assert again.generate(asked(again), 6) == student.generate(asked(student), 6)


@pytest.mark.parametrize("name", ["llama", "qwen3-lora"])
def test_a_step_in_parts_is_the_step(name):
    whole, parts = made(name), made(name, max_tokens=20)
    prompts, rows = asked(whole), answers(whole)
    wanted = gradients(whole, whole.cross_entropy(whole.read(prompts), SOURCE, rows))
    assert_close(gradients(parts, parts.cross_entropy(parts.read(prompts), SOURCE, rows)), wanted)
