from causal_models import TOKENIZER
from small import lengths
from tokenizers import processors

from qcrd.discriminator.tokenizer import question_ids, rationale_ids, same_vocabulary
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.tokenizer import load_tokenizer, own_words


def test_a_question_begins_with_what_the_tokenizer_begins_every_text_with():
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


def test_vocabularies_are_the_same_where_ids_mean_the_same():
    one = load_tokenizer(lengths())
    assert same_vocabulary(one, word_level_tokenizer(own_words(), append_eos=False))
    assert not same_vocabulary(one, word_level_tokenizer(own_words()[::-1], append_eos=True))
    assert not same_vocabulary(one, TOKENIZER)
    other_end = word_level_tokenizer(own_words(), append_eos=True)
    other_end.eos_token = "<pad>"
    assert not same_vocabulary(one, other_end)
