"""The discriminator's tokenizer, and its token ids of questions and rationales."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from qcrd.errors import ConfigError
from qcrd.hub.checkpoints import pretrained_tokenizer
from qcrd.hub.token_ids import tokenise
from qcrd.student.base import Student, Tokens

PROBE = "One of 2."
SETTING = "discriminator.checkpoint"
FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "spiece.model", "vocab.json")


def checkpoint_tokenizer(
    name: str, revision: str | None, students: PreTrainedTokenizerBase
) -> PreTrainedTokenizerBase:
    """The tokenizer that a discriminator from a checkpoint reads with.

    Args:
        name: of the checkpoint, a folder or a Hub id.
        revision: of a Hub id.
        students: the student's tokenizer, which is returned where it has the checkpoint's vocabulary.

    Raises:
        ConfigError: where the checkpoint has no tokenizer.
    """
    folder = Path(name)
    # transformers would make up a tokenizer from the model's family.
    if folder.is_dir() and not any((folder / file).exists() for file in FILES):
        raise ConfigError(
            f"{SETTING}: {name!r} has no tokenizer ({', '.join(FILES)}); save the one that the model was "
            "trained with beside it"
        )
    own = pretrained_tokenizer(SETTING, name, revision)
    return students if same_vocabulary(own, students) else own


def same_vocabulary(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Whether token ids mean the same to both."""
    if one is other:
        return True
    return bool(one.eos_token_id == other.eos_token_id and one.get_vocab() == other.get_vocab())


def same_ids(student: Student, tokenizer: PreTrainedTokenizerBase, limit: int) -> bool:
    """Whether a student writes a rationale in the ids in which the discriminator reads it.

    With one vocabulary they can still differ in the end token of a chat template, or in the space that a
    prompt leaves to the completion's first token.

    Args:
        student: the student.
        tokenizer: the discriminator's.
        limit: most tokens of a rationale.
    """
    return same_vocabulary(student.tokenizer, tokenizer) and (
        student.completions([PROBE], limit) == rationale_ids(tokenizer, [PROBE], limit)
    )


def question_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> list[Tokens]:
    """Token ids of each question with the end-of-sequence token, at most `limit` in all.

    They begin with what the tokenizer begins every text with, such as <s>.
    """
    start = _start(tokenizer)
    return [[*start, *row] for row in tokenise(tokenizer, texts, limit - len(start))]


def rationale_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], limit: int) -> list[Tokens]:
    """Token ids of each rationale with the end-of-sequence token, at most `limit` in all."""
    return tokenise(tokenizer, texts, limit)


def _start(tokenizer: PreTrainedTokenizerBase) -> Tokens:
    begin = tokenizer.bos_token_id
    if begin is None or tokenizer("", verbose=False)["input_ids"][:1] != [begin]:
        return []
    return [begin]
