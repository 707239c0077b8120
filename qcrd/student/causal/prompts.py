"""What a decoder-only student reads and writes: plain text, the checkpoint's chat template, or a file's.

DSS's tasks are told apart behind the question, so that the label and all rationales of a question share one
prefix. A prompt that is too long loses tokens of the question, never of the template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from qcrd.errors import ConfigError
from qcrd.hub.token_ids import token_ids
from qcrd.student.base import Kind, Tokens

PLAIN = "Q: {question}\n{cue}:"
CUES: dict[Kind, str] = {"predict": "Answer", "explain": "Reasoning", "solve": "Solution"}
INSTRUCTIONS: dict[Kind, str] = {
    "predict": "Give only the answer.",
    "explain": "Explain step by step how to find the answer.",
    "solve": "Explain step by step, then give the answer.",
}
_ANSWER = "qcrd0answer"  # stands for a completion where a chat template is tried


@dataclass(frozen=True, slots=True)
class Prompts:
    """How questions become prompts and texts become completions.

    Attributes:
        tokenizer: the student's.
        text: from kind and question to the prompt's text.
        before: text between a prompt and its completion that the tokenizer joins to the completion; a space
            or nothing.
        start: tokens that begin every prompt and are not in its text, such as <s>.
        end: token that ends a completion; it is trained on.
        identity: all that the prompts' texts depend on besides the question, for a cell's id.
    """

    tokenizer: PreTrainedTokenizerBase
    text: Callable[[Kind, str], str]
    before: str
    start: tuple[int, ...]
    end: int
    identity: str

    def tokens(self, kind: Kind, questions: Sequence[str], limit: int) -> tuple[list[Tokens], list[int]]:
        """Prompts of at most `limit` tokens, and how many tokens of each question were cut.

        Raises:
            ConfigError: where the template alone takes more than `limit`.
        """
        texts = [self.text(kind, question) for question in questions]
        prompts, cut = [], []
        for question, row in zip(questions, token_ids(self.tokenizer, texts), strict=True):
            kept: Sequence[int] = row
            lost = 0
            if len(self.start) + len(row) > limit:
                kept, lost = self._cut(kind, question, limit - len(self.start))
            prompts.append([*self.start, *kept])
            cut.append(lost)
        return prompts, cut

    def lengths(self, kind: Kind, questions: Sequence[str]) -> list[int]:
        """Number of tokens of each prompt before it is cut."""
        texts = [self.text(kind, question) for question in questions]
        return [len(self.start) + len(row) for row in token_ids(self.tokenizer, texts)]

    def _cut(self, kind: Kind, question: str, limit: int) -> tuple[Sequence[int], int]:
        """Tokens of a prompt without the question's last tokens, and how many those are."""
        whole = self._ids(question)
        keep = len(whole)
        row = self._ids(self.text(kind, question))
        while len(row) > limit and keep:
            keep = max(0, keep - (len(row) - limit))
            # A cut within a character or word decodes to something else, whose tokens are counted anew.
            text = self.tokenizer.decode(whole[:keep], skip_special_tokens=False)
            row = self._ids(self.text(kind, text.rstrip("\ufffd")))
        if len(row) > limit:
            raise ConfigError(
                f"student.max_input: the prompt's template alone has {len(row) + len(self.start)} tokens; "
                f"allowed: more than that, not {limit + len(self.start)}"
            )
        return row, len(whole) - keep

    def completions(self, texts: Sequence[str], limit: int) -> list[Tokens]:
        """Token ids of each text with the end token, at most `limit` in all."""
        rows = token_ids(self.tokenizer, [self.before + text for text in texts])
        return [[*row[: limit - 1], self.end] for row in rows]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids


def load_prompts(
    name: str, tokenizer: PreTrainedTokenizerBase, setting: str = "student.prompt", cue: str = CUES["predict"]
) -> Prompts:
    """The prompts that a setting names.

    Args:
        name: plain, chat, or a text file that holds `{question}` and behind it `{cue}`, which becomes
            `cue`, `Reasoning` or `Solution`.
        tokenizer: the student's.
        setting: for messages.
        cue: what asks for the label outside a chat: see `Task.cue`.

    Raises:
        ConfigError: where the file or the chat template cannot be used, or there is no end token.
    """
    if name == "chat":
        return _chat(tokenizer, setting)
    cues = {**CUES, "predict": cue}
    return _template(PLAIN if name == "plain" else _read(name, setting), tokenizer, setting, cues)


def _template(
    template: str, tokenizer: PreTrainedTokenizerBase, setting: str, cues: Mapping[Kind, str]
) -> Prompts:
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"{setting}: the tokenizer has no end-of-sequence token; allowed: chat")

    def text(kind: Kind, question: str) -> str:
        before, after = template.split("{question}")
        return before + question + after.replace("{cue}", cues[kind])

    probe = text("predict", "one")
    before = _joint(tokenizer, probe, "two")
    ids = tokenizer("one", verbose=False)["input_ids"]
    own = tokenizer("one", add_special_tokens=False, verbose=False)["input_ids"]
    start = ids[: next((n for n in range(len(ids)) if ids[n : n + len(own)] == own), 0)]
    return Prompts(tokenizer, text, before, tuple(start), tokenizer.eos_token_id, repr((template, cues)))


def _joint(tokenizer: PreTrainedTokenizerBase, prompt: str, word: str) -> str:
    """What is to be put before a completion so that its tokens are those that it has behind a prompt."""

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return found

    whole = ids(f"{prompt} {word}") if not prompt[-1:].isspace() else ids(prompt + word)
    choices = (" ", "") if not prompt[-1:].isspace() else ("",)
    return next((before for before in choices if ids(prompt) + ids(before + word) == whole), "")


def _read(name: str, setting: str) -> str:
    try:
        template = Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{setting}: {name!r} cannot be read ({error}); allowed: plain, chat, or a text file"
        ) from error
    _, _, after = template.partition("{question}")
    if template.count("{question}") != 1 or "{cue}" not in after:
        raise ConfigError(
            f"{setting}: {name!r} must hold {{question}} once and {{cue}} behind it, as in {PLAIN!r}"
        )
    return template.removesuffix("\n")


def _chat(tokenizer: PreTrainedTokenizerBase, setting: str) -> Prompts:
    if not tokenizer.chat_template:
        raise ConfigError(f"{setting}: the tokenizer has no chat template; allowed: plain, or a text file")

    def turns(kind: Kind, question: str) -> tuple[str, str]:
        """The conversation's text before an answer, and behind it."""
        content = f"{question}\n{INSTRUCTIONS[kind]}"
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": _ANSWER}]
        before, _, after = tokenizer.apply_chat_template(messages, tokenize=False).rpartition(_ANSWER)
        return before, after

    try:
        _, after = turns("predict", "one")
    except Exception as error:  # a template raises what it likes
        raise ConfigError(
            f"{setting}: the chat template does not take a question and an answer ({error}); "
            "allowed: plain, or a text file"
        ) from error
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    ids = tokenizer(after, add_special_tokens=False, verbose=False)["input_ids"]
    end = next((token for token in ids if token in special), tokenizer.eos_token_id)
    if end is None:
        raise ConfigError(f"{setting}: the chat template ends a turn with no special token; allowed: plain")
    identity = repr((tokenizer.chat_template, INSTRUCTIONS))
    return Prompts(tokenizer, lambda kind, text: turns(kind, text)[0], "", (), end, identity)
