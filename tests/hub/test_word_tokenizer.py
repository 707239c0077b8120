"""The word tokenizer without transformers gives what transformers' gives."""

from qcrd.config import Student
from qcrd.hub.word_tokenizer import WordTokenizer, word_level_tokenizer
from qcrd.student.tokenizer import load_tokenizer, own_word_tokenizer, own_words
from qcrd.tasks.arithmetic import generate

TEXTS = [
    "",
    "Tom has 5 apples.",
    "unknown </s> <pad> , <unk>!",
    "a  b\n( 3 + 4 ) ?",
    "<unk>",
    "5.5 : ;",
]


def test_it_has_the_ids_and_texts_of_transformers():
    problems = [text for q in generate(0, 200) for text in (q.text, q.rationale, q.label)]
    light, theirs = WordTokenizer(own_words()), word_level_tokenizer(own_words(), append_eos=True)
    assert len(light) == len(theirs)
    rows = light([*TEXTS, *problems], add_special_tokens=False)["input_ids"]
    assert rows == theirs([*TEXTS, *problems], add_special_tokens=False)["input_ids"]
    for row in [*rows, [0, 1, 2, 3, 1, 2]]:
        for skip in (False, True):
            assert light.decode(row, skip_special_tokens=skip) == theirs.decode(row, skip_special_tokens=skip)


def test_a_student_without_a_tokenizer_has_its_words():
    assert load_tokenizer(Student()).get_vocab() == own_word_tokenizer()._tokenizer.get_vocab()
