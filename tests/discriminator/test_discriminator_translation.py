"""What the discriminator reads of what a student has written."""

import pytest
from causal_models import causal_student
from small import arithmetic_questions, lengths, small_student, two_sided

from qcrd.discriminator import translation as module
from qcrd.discriminator.questions import discriminator_questions
from qcrd.discriminator.tokenizer import question_ids, rationale_ids, same_vocabulary
from qcrd.discriminator.translation import same_ids, translation, untranslated
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.tokenizer import load_tokenizer, own_words

LIMIT = 24
SETS = two_sided(arithmetic_questions(6))
TEXTS = [text for group in SETS for text in (*group.positives, *group.negatives)]
OTHER = word_level_tokenizer(own_words()[::-1], append_eos=False)
STUDENTS = {"t5": small_student, "llama": lambda: causal_student("llama")}


@pytest.fixture(params=STUDENTS)
def student(request):
    return STUDENTS[request.param]()


def written(student):
    """Rationales as a student's self-play gives them: no text of the teacher."""
    rows = student.completions([f"{text} so" for text in TEXTS], LIMIT)
    return [row for row in rows if row not in student.completions(TEXTS, LIMIT)]


def test_with_one_tokenizer_ids_pass_through_untouched(student, monkeypatch):
    monkeypatch.setattr(student, "text", lambda _: pytest.fail("decoded"))
    translate = translation(student, student.tokenizer, SETS, LIMIT)
    assert translate is untranslated
    rows = written(student)
    assert all(same is row for same, row in zip(translate(rows), rows, strict=True))


def test_by_text_they_become_the_same_ids(student, monkeypatch):
    monkeypatch.setattr(module, "same_ids", lambda *_: False)
    translate = translation(student, student.tokenizer, SETS, LIMIT)
    for rows in (written(student), student.completions(TEXTS, LIMIT)):
        assert rows
        assert translate(rows) == rows


def test_another_copy_of_a_tokenizer_is_the_same_and_one_with_other_ids_is_not(student, tmp_path):
    student.tokenizer.save_pretrained(tmp_path)
    copy = load_tokenizer(lengths(tokenizer=str(tmp_path)))
    assert copy is not student.tokenizer
    assert same_vocabulary(copy, student.tokenizer)
    assert same_ids(student, copy, LIMIT)
    assert not same_vocabulary(OTHER, student.tokenizer)
    assert not same_ids(student, OTHER, LIMIT)


def test_with_another_tokenizer_what_is_written_is_decoded_and_read_anew(student):
    translate = translation(student, OTHER, SETS, LIMIT)
    rows = written(student)
    found = translate(rows)
    assert found == rationale_ids(OTHER, [student.text(row) for row in rows], LIMIT)
    assert found != rows
    assert [OTHER.decode(row, skip_special_tokens=True) for row in found] == list(map(student.text, rows))


def test_a_rationale_of_the_teacher_is_read_as_in_pretraining_whatever_the_student_s_tokens_lose(student):
    questions = arithmetic_questions(6)
    limit = 8  # cut in the student's tokens
    seen = discriminator_questions(OTHER, [q.text for q in questions], SETS, lengths(max_rationale=LIMIT))
    translate = translation(student, OTHER, SETS, LIMIT)
    for question, group in zip(seen, SETS, strict=True):
        assert translate(student.completions(list(group.positives), LIMIT)) == question.positives
        assert translate(student.completions(list(group.negatives), LIMIT)) == question.negatives
    shortened = student.completions(TEXTS[:1], limit)
    assert translation(student, OTHER, SETS, limit)(shortened) == rationale_ids(OTHER, TEXTS[:1], limit)
    unknown = [group.__class__("q", "1", ("Zoë has 3 €",), ()) for group in SETS[:1]]
    row = student.completions(["Zoë has 3 €"], LIMIT)
    assert translation(student, OTHER, unknown, LIMIT)(row) == rationale_ids(OTHER, ["Zoë has 3 €"], LIMIT)


@pytest.mark.parametrize("change", ["space", "end"])
def test_a_student_that_writes_a_text_in_other_ids_of_the_same_vocabulary_goes_by_text(monkeypatch, change):
    """A space before the first token, or the end token of a chat template."""
    student = causal_student("llama")
    tokenizer, plain = student.tokenizer, student.completions

    def completions(texts, limit):
        rows = plain([f"= {text}" for text in texts] if change == "space" else texts, limit)
        return [[*row[:-1], tokenizer.unk_token_id] if change == "end" else row for row in rows]

    monkeypatch.setattr(student, "completions", completions)
    translate = translation(student, tokenizer, SETS, LIMIT)
    assert translate is not untranslated
    assert translate(completions(TEXTS, LIMIT)) == rationale_ids(tokenizer, TEXTS, LIMIT)


def test_a_question_begins_with_what_the_tokenizer_begins_every_text_with():
    from tokenizers import processors

    plain = load_tokenizer(lengths())
    assert question_ids(plain, ["Tom has 3"], 9) == rationale_ids(plain, ["Tom has 3"], 9)
    begun = word_level_tokenizer(own_words(), append_eos=False)
    begun.bos_token = "<unk>"
    begun.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<unk> $A", special_tokens=[("<unk>", begun.bos_token_id)]
    )
    for limit in (9, 3):
        (row,), (rationale,) = question_ids(begun, ["Tom has 3"], limit), rationale_ids(begun, ["Tom"], limit)
        assert row == [begun.bos_token_id, *rationale_ids(begun, ["Tom has 3"], limit - 1)[0]]
        assert len(row) <= limit
        assert rationale[0] != begun.bos_token_id
