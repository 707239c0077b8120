"""The student's decoding loop against transformers' own, and the student as a Hugging Face folder."""

import pytest
import torch
from small import CPU, SHAPE, arithmetic_questions, lengths, small_student
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

from qcrd import config
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.load import load_student
from qcrd.student.t5.decoding import Writer
from qcrd.student.t5.student import T5Student
from qcrd.student.tokenizer import load_tokenizer

LIMIT = 14
SEED = {False: 10, True: 4}  # whose answers have several lengths
INPUTS = [
    [3, 4, 1],
    [5, 1],
    [3, 3, 4, 5, 6, 7, 8, 1],
    [9, 1],
    [4, 9, 8, 1],
    [6, 1],
    [7, 7, 1],
    [8, 3, 9, 4, 1],
]


def chatty(seed=0, tied_and_scaled=False):
    """A student over ten tokens whose random answers end at many different places."""
    torch.manual_seed(seed)
    tokenizer = word_level_tokenizer(list("abcdefg"), append_eos=True)
    shape = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        feed_forward_proj="relu" if tied_and_scaled else "gated-gelu",
        tie_word_embeddings=tied_and_scaled,  # T5 v1.0 scales what its tied head reads
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(shape)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    return T5Student(model, tokenizer, bf16=False)


def by_transformers(student, tokens, limit=LIMIT):
    ids = torch.tensor([tokens])
    out = student.model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, max_new_tokens=limit
    )[0].tolist()[1:]
    return out[: out.index(1)] if 1 in out else out


@pytest.mark.parametrize("tied_and_scaled", [False, True])
def test_greedy_equals_transformers_for_unequal_lengths_and_any_batch_size(tied_and_scaled):
    student = chatty(SEED[tied_and_scaled], tied_and_scaled)
    assert student.model.config.scale_decoder_outputs == tied_and_scaled
    wanted = [by_transformers(student.eval(), row) for row in INPUTS]
    assert len({len(row) for row in wanted}) >= 3, "the case must have answers of several lengths"
    for batch in (1, 3, 256):
        assert student.generate(INPUTS, LIMIT, batch=batch) == wanted
    assert student.generate(INPUTS[::-1], LIMIT) == wanted[::-1]


def test_rows_that_end_early_do_not_change_the_others_nor_keep_the_loop_going(monkeypatch):
    student = chatty(10)
    alone = [student.generate([row], LIMIT)[0] for row in INPUTS]
    short = [i for i, row in enumerate(alone) if len(row) < 4]
    assert short
    assert len(short) < len(INPUTS)
    for left_out in short:
        rest = [row for i, row in enumerate(INPUTS) if i != left_out]
        assert student.generate(rest, LIMIT) == [row for i, row in enumerate(alone) if i != left_out]
    steps, step = [], Writer._step
    monkeypatch.setattr(Writer, "_step", lambda *given: steps.append(1) or step(*given))
    ends = sorted((len(answer), i) for i, answer in enumerate(alone) if len(answer) < LIMIT)
    for _, early in ends[:-1]:
        (length, late), steps[:] = ends[-1], []
        student.generate([INPUTS[early]] + [INPUTS[late]] * 9, LIMIT)
        assert len(steps) == length + 1


def test_sampling_is_reproducible_and_approaches_greedy():
    student = chatty(10)

    def sample(temperature, seed):
        return student.generate(INPUTS * 4, LIMIT, temperature, torch.Generator().manual_seed(seed))

    assert sample(1.0, 0) == sample(1.0, 0)
    assert sample(1.0, 0) != sample(1.0, 1)
    assert sample(1e-4, 2) == student.generate(INPUTS * 4, LIMIT)


@pytest.mark.parametrize("top_k", [None, 3])
def test_sampling_follows_the_tempered_distribution_of_the_likeliest(top_k):
    student = chatty(10)
    tau, row = 1.5, INPUTS[0]
    logits = student.model(input_ids=torch.tensor([row]), decoder_input_ids=torch.tensor([[0]])).logits[0, 0]
    likeliest = torch.zeros_like(logits).bool()
    likeliest[logits.argsort(descending=True)[:top_k]] = True
    wanted = (logits / tau).where(likeliest, -torch.inf).softmax(-1)
    drawn = student.generate([row] * 2000, 1, tau, torch.Generator().manual_seed(0), batch=2000, top_k=top_k)
    counts = torch.bincount(torch.tensor([r[0] if r else 1 for r in drawn]), minlength=len(wanted)) / 2000
    assert (counts - wanted).abs().max() < 0.04
    assert (counts[~likeliest] == 0).all()


def test_of_the_likeliest_alone_or_of_no_share_sampling_is_greedy():
    student = chatty(10)
    greedy = student.generate(INPUTS, LIMIT)
    for cut in ({"top_k": 1}, {"top_p": 1e-6}, {"top_k": 5, "top_p": 1e-6}):
        assert student.generate(INPUTS, LIMIT, 1.5, torch.Generator().manual_seed(0), **cut) == greedy


@pytest.mark.parametrize("batch", [1, 3, 5, 256])
def test_a_slot_that_is_free_takes_the_next_input_with_its_own_limit(batch):
    student = chatty(10)
    limits = [LIMIT, 3, 0, 9, 1, LIMIT, 5, 2] * 2
    wanted = [student.generate([row], LIMIT)[0][:n] for row, n in zip(INPUTS * 2, limits, strict=True)]
    assert student.generate(INPUTS * 2, limits, batch=batch) == wanted
    twice = [row for row in student.generate(INPUTS, LIMIT, batch=256) for _ in range(2)]
    assert student.generate(INPUTS, LIMIT, draws=2, batch=batch) == twice


def test_long_inputs_are_written_for_a_few_at_a_time(monkeypatch):
    student, sizes = chatty(10), []
    wanted, step = student.generate(INPUTS, LIMIT), Writer._step
    row = 2 * 1 * 16 * 8 * 4 + 3 * 2 * 8**2 * 4  # keys and values of the longest input, and its attention
    monkeypatch.setattr("qcrd.student.t5.decoding.MEMORY", 3 * row)
    monkeypatch.setattr(Writer, "_step", lambda *given: sizes.append(len(given[1].job)) or step(*given))
    assert student.generate(INPUTS, LIMIT) == wanted
    assert max(sizes) == 3


def test_generating_leaves_training_mode_as_it_was_and_needs_no_input():
    student = chatty(0)
    for mode in (True, False):
        student.train(mode)
        student.generate(INPUTS[:1], 2)
        assert student.training == mode
    assert student.generate([], LIMIT) == []
    assert student.generate(INPUTS[:2], 0) == [[], []]


def test_padding_changes_no_likelihood():
    student = chatty(2)
    targets = [[4, 1], [5, 6, 7, 8, 9, 3, 1], [3, 3, 1], [1]]
    source = [2, 0, 2, 1]
    together = student.cross_entropy(student.read(INPUTS[:4]), source, targets)
    for n, target in enumerate(targets):
        alone = student.cross_entropy(student.read([INPUTS[source[n]]]), [0], [target])
        torch.testing.assert_close(together[n], alone[0])
        ids = torch.tensor([INPUTS[source[n]]])
        logits = student.model(input_ids=ids, decoder_input_ids=torch.tensor([[0, *target[:-1]]])).logits[0]
        torch.testing.assert_close(together[n], cross_entropy(logits, torch.tensor(target)))


@pytest.mark.parametrize("tied_and_scaled", [False, True])
def test_a_saved_student_loads_in_transformers_with_equal_logits(tied_and_scaled, tmp_path):
    student = chatty(3, tied_and_scaled).eval()
    student.save(tmp_path)
    assert list(tmp_path.glob("*.safetensors"))
    again = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    given = {"input_ids": torch.tensor([INPUTS[2]]), "decoder_input_ids": torch.tensor([[0, 5, 6]])}
    assert torch.equal(student.model(**given).logits, again(**given).logits)
    words = AutoTokenizer.from_pretrained(tmp_path)
    assert words("a b g")["input_ids"] == student.tokenizer("a b g")["input_ids"]


def test_a_saved_student_is_a_checkpoint_to_start_from(tmp_path):
    student = chatty(4)
    student.save(tmp_path)
    again = load_student(config.Student(checkpoint=str(tmp_path), dropout=0.25, precision="fp32"), 9, CPU)
    assert again.model.config.dropout_rate == 0.25
    assert again.generate(INPUTS, LIMIT) == student.generate(INPUTS, LIMIT)


def test_bf16_gives_numbers_near_those_of_fp32():
    student = chatty(5)
    targets = [[4, 5, 1], [6, 1]]
    source = [0, 1]
    exact = student.cross_entropy(student.read(INPUTS[:2]), source, targets)
    student.bf16 = True
    rough = student.cross_entropy(student.read(INPUTS[:2]), source, targets)
    rough.sum().backward()
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.1)
    assert all(torch.isfinite(p.grad).all() for p in student.parameters() if p.grad is not None)
    assert len(student.generate(INPUTS, LIMIT)) == len(INPUTS)


def test_the_t5_tokenizer_reads_and_writes_as_t5_does(shared_data):
    section = config.Student(tokenizer=str(shared_data / "tokenizer_t5"), architecture=SHAPE)
    student = load_student(section, 0, CPU)
    (row,) = student.completions(["explain: Tom has 8 apples ."], 64)
    assert row[-1] == student.eos_id == 1
    assert row.count(1) == 1
    assert student.text(row) == "explain: Tom has 8 apples ."
    assert student.completions(["Tom has 8 apples ."], 3)[0][-1] == 1
    assert len(student.completions(["Tom has 8 apples ."], 3)[0]) == 3
    assert len(student.generate([row], 3)[0]) <= 3


def test_the_closed_vocabulary_knows_every_word_of_the_task_and_its_prefixes():
    tokenizer = load_tokenizer(lengths())
    student = small_student()
    for question in arithmetic_questions(20):
        for text in (f"predict: {question.text}", f"explain: {question.rationale}", question.label):
            (row,) = student.completions([text], 999)
            assert tokenizer.unk_token_id not in row
            assert student.text(row).replace(" ", "") == text.replace(" ", "")


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_stream_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, second, other = small_student(0), small_student(0), small_student(1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.model.shared.weight, second.model.shared.weight)
    assert not torch.equal(first.model.shared.weight, other.model.shared.weight)
