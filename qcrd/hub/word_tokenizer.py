"""A word-level tokenizer over a closed list of words, for the embedded teacher and its students."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"  # ids 0, 1, 2, as in T5, whose decoder starts with the padding


def word_level_tokenizer(vocabulary: Sequence[str], append_eos: bool) -> PreTrainedTokenizerFast:
    """Tokens are the words and punctuation marks of `vocabulary`; numbers stay whole.

    Text comes back from its tokens with single spaces, and none before . , ? ! ; and :.

    Args:
        vocabulary: the closed list; its order gives the ids from 3 on.
        append_eos: whether encoding ends with </s>: yes for T5 students, no for prompts to be continued.
    """
    words = dict.fromkeys([PAD, EOS, UNK, *vocabulary])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(Regex(r"^(?=[^.,?!;:])"), " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
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
