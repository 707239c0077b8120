"""What the discriminator reads of what a student has written."""

from dataclasses import replace

import pytest
from causal_models import byte_level_tokenizer, causal_student
from small import arithmetic_questions, lengths, objective_of, small_student, two_sided

from qcrd.discriminator.questions import discriminator_questions
from qcrd.discriminator.tokenizer import rationale_ids, same_ids
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.objectives import discriminator_input
from qcrd.objectives.discriminator_input import DiscriminatorInput
from qcrd.objectives.written import Written
from qcrd.student.tokenizer import load_tokenizer, own_words

LIMIT = 24
QUESTIONS = arithmetic_questions(6)
SETS = two_sided(QUESTIONS)
TOKENIZERS = {
    "words": word_level_tokenizer(own_words()[::-1], append_eos=False),
    "bytes": byte_level_tokenizer(),
}
STUDENTS = {"t5": small_student, "llama": lambda: causal_student("llama")}


@pytest.fixture(params=STUDENTS)
def student(request):
    return STUDENTS[request.param]()


@pytest.fixture(params=TOKENIZERS)
def other(request):
    """A tokenizer with other ids than the student's."""
    return TOKENIZERS[request.param]


def made(student, tokenizer, sets=SETS, written="label", limit=LIMIT):
    pool = objective_of("qcrd", student, QUESTIONS, sets, section=lengths(max_rationale=limit)).pool
    return DiscriminatorInput(tokenizer, replace(pool.given, written=written), pool.rationales()), pool


def play(student):
    """What self-play wrote to each question: no text of the teacher."""
    texts = [f"{group.negatives[0]} so" for group in SETS]
    rows = student.completions(texts, LIMIT)
    return [Written([row], [student.text(row)]) for row in rows]


def completions(pool, question):
    return [*pool.positives[question], *pool.negatives[question]]


def test_with_one_tokenizer_ids_pass_through_untouched(student, monkeypatch):
    read, pool = made(student, student.tokenizer)
    monkeypatch.setattr(student, "text", lambda _: pytest.fail("decoded"))
    assert not read.by_text
    written = [Written(negatives=[[5, 7, 1]]) for _ in SETS]
    read.play(written)
    for i, each in enumerate(written):
        assert read.written(i) is each.negatives
        for row in [*completions(pool, i), *each.negatives]:
            assert read.rationale(i, row) is row


def test_by_text_they_become_the_same_ids(student, monkeypatch):
    monkeypatch.setattr(discriminator_input, "same_ids", lambda *_: False)
    read, pool = made(student, student.tokenizer)
    assert read.by_text
    written = play(student)
    read.play(written)
    for i, each in enumerate(written):
        assert read.written(i) == each.negatives
        for row in [*completions(pool, i), *each.negatives]:
            assert read.rationale(i, row) == row


def test_another_copy_of_a_tokenizer_is_the_same_and_one_with_other_ids_is_not(student, other, tmp_path):
    student.tokenizer.save_pretrained(tmp_path)
    copy = load_tokenizer(lengths(tokenizer=str(tmp_path)))
    assert copy is not student.tokenizer
    assert same_ids(student, copy, LIMIT)
    assert not same_ids(student, other, LIMIT)


def test_with_another_tokenizer_what_self_play_wrote_is_read_by_its_text(student, other):
    read, _ = made(student, other)
    written = play(student)
    read.play(written)
    for i, each in enumerate(written):
        assert read.written(i) == rationale_ids(other, each.rationales, LIMIT)
        assert read.written(i) != each.negatives
        assert read.rationale(i, each.negatives[0]) == read.written(i)[0]
    read.play([Written() for _ in SETS])
    assert read.written(0) == []


def test_a_rationale_of_the_teacher_is_read_as_in_pretraining_whatever_the_student_s_tokens_lose(
    student, other
):
    unknown = replace(SETS[0], positives=("Zoë has 3 €",))  # most of it is no word of the student's
    sets = [unknown, *SETS[1:]]
    read, pool = made(student, other, sets)
    seen = discriminator_questions(other, [q.text for q in QUESTIONS], sets, lengths(max_rationale=LIMIT))
    for i, question in enumerate(seen):
        assert [read.rationale(i, row) for row in pool.positives[i]] == question.positives
        assert [read.rationale(i, row) for row in pool.negatives[i]] == question.negatives


@pytest.mark.parametrize("change", ["space", "end"])
def test_a_student_that_writes_a_text_in_other_ids_of_the_same_vocabulary_goes_by_text(monkeypatch, change):
    """A space before the first token, or the end token of a chat template."""
    student = causal_student("llama")
    tokenizer, plain = student.tokenizer, student.completions

    def other(texts, limit):
        rows = plain([f"= {text}" for text in texts] if change == "space" else texts, limit)
        return [[*row[:-1], tokenizer.unk_token_id] if change == "end" else row for row in rows]

    monkeypatch.setattr(student, "completions", other)
    read, pool = made(student, tokenizer)
    assert read.by_text
    assert [read.rationale(0, row) for row in pool.positives[0]] == rationale_ids(
        tokenizer, SETS[0].positives, LIMIT
    )


def test_of_sequences_it_reads_the_rationale(student):
    sets = [replace(group, negative_labels=("7", "9")) for group in SETS]
    section = lengths(max_rationale=LIMIT, targets="sequence")
    pool = objective_of("qcrd", student, QUESTIONS, sets, section=section).pool
    read = DiscriminatorInput(student.tokenizer, pool.given, pool.rationales())
    assert read.by_text
    for i, group in enumerate(sets):
        found = [read.rationale(i, row) for row in completions(pool, i)]
        assert found == rationale_ids(student.tokenizer, [*group.positives, *group.negatives], LIMIT)
        assert found != completions(pool, i)
