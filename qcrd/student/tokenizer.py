"""The tokenizer that a student's settings name; transformers is imported where a model is to have it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from qcrd import config
from qcrd.hub.word_tokenizer import WordTokenizer, word_level_tokenizer
from qcrd.tasks.arithmetic import vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREFIX_WORDS = ("predict", "explain", ":")  # of T5's task prefixes, for a closed vocabulary
# Of decoder-only students' plain prompts; tasks in arithmetic's words ask for an answer or an equation.
CAUSAL_WORDS = ("Q", "Answer", "Reasoning", "Solution", ":", "Equation")


def load_tokenizer(section: config.Student, setting: str = "student.checkpoint") -> PreTrainedTokenizerBase:
    """The tokenizer that the settings name; the arithmetic task's word-level one where they name none."""
    from qcrd.hub.checkpoints import pretrained_tokenizer

    if section.tokenizer is not None:  # the revision is the checkpoint's
        return pretrained_tokenizer("student.tokenizer", section.tokenizer, None)
    if section.checkpoint is not None:
        return pretrained_tokenizer(setting, section.checkpoint, section.revision)
    return _own_tokenizer(section.architecture.family == "t5")


def own_words(t5: bool = True) -> list[str]:
    """Words of a T5 or decoder-only student without a pretrained tokenizer, in the order of their ids."""
    return [*vocabulary(), *(PREFIX_WORDS if t5 else CAUSAL_WORDS)]


@cache  # one object, which the token ids of its texts are kept with
def own_word_tokenizer(t5: bool = True) -> WordTokenizer:
    """Ids and texts as of the tokenizer that `load_tokenizer` gives where the settings name none."""
    return WordTokenizer(own_words(t5))


@cache
def _own_tokenizer(t5: bool) -> PreTrainedTokenizerBase:
    return word_level_tokenizer(own_words(t5), append_eos=t5)
