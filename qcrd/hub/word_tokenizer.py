"""A word-level tokenizer over a closed list of words, for the embedded teacher and its students.

There are two implementations: a transformers tokenizer for use with models, and `WordTokenizer` for planning,
which gives the same ids and texts without importing transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"  # ids 0, 1, 2, as in T5, whose decoder starts with <pad>


def word_level_tokenizer(vocabulary: Sequence[str], append_eos: bool) -> PreTrainedTokenizerFast:
    """Tokenizer whose tokens are the words and punctuation marks of `vocabulary`; numbers are not split.

    Decoding joins tokens with single spaces, without a space before . , ? ! ; and :.

    Args:
        vocabulary: the list of words; ids start at 3, in its order.
        append_eos: whether to append </s>: true for T5 students, false for prompts of causal models.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = _tokenizer(vocabulary)
    if append_eos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {EOS}", special_tokens=[(EOS, 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        clean_up_tokenization_spaces=False,
    )


class WordTokenizer:
    """The same tokenizer without transformers, with the methods that planning calls."""

    def __init__(self, vocabulary: Sequence[str]):
        self._tokenizer = _tokenizer(vocabulary)
        self._tokenizer.add_special_tokens([PAD, EOS, UNK])

    def __call__(self, texts: Sequence[str], **_: bool) -> dict[str, list[list[int]]]:
        """`input_ids` of each text, without special tokens."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return {"input_ids": [each.ids for each in encoded]}

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """Text of token ids."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)


def _tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    words = dict.fromkeys([PAD, EOS, UNK, *vocabulary])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(Regex(r"^(?=[^.,?!;:])"), " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer
