"""Finish reasons: maps those of many servers and engines to four endings.

Public references: OpenAI (stop, length, content_filter), Mistral (model_length, error), Anthropic (end_turn,
max_tokens, refusal), Gemini (MAX_TOKENS, SAFETY, ...), Cohere (COMPLETE, ERROR_LIMIT, ERROR_TOXIC), watsonx
(eos_token, token_limit, time_limit, not_finished), Bedrock (guardrail_intervened, content_filtered),
DeepSeek (insufficient_system_resource), Zhipu (sensitive, network_error), llama.cpp (limit, word), vLLM
(abort, error).
"""

from __future__ import annotations

import re
from typing import Any, Literal

Ending = Literal["stop", "length", "refused", "failed"]
"""stop: complete; length: truncated; refused: by the model or a filter; failed: an error of the engine."""

_WORDS: dict[Ending, str] = {
    "stop": "stop stopped stop_sequence stop_token stop_criteria_met word eos eos_token end end_turn "
    "end_of_text end_of_sequence complete completed finish finished done",
    "length": "length length_limit limit max_tokens max_new_tokens max_output_tokens max_completion_tokens "
    "max_length max_len max_context model_length token_limit context_length context_length_exceeded "
    "context_window_exceeded model_context_window_exceeded error_limit truncated incomplete not_finished "
    "time_limit",
    "refused": "content_filter content_filtered refusal refused safety recitation blocklist spii "
    "prohibited_content guardrail_intervened error_toxic sensitive",
    "failed": "error abort aborted cancelled canceled user_cancel network_error insufficient_system_resource",
}


def ending(reason: Any) -> Ending | None:
    """The ending that a finish reason means; None if it is unknown or missing.

    Case, hyphens and the prefix of an enumeration are ignored. Of `content_filter: RECITATION` the first part
    is used, of `{"type": "length"}` the type.
    """
    if isinstance(reason, dict):
        reason = reason.get("type")
    return _ENDINGS.get(_plain(reason.partition(":")[0])) if isinstance(reason, str) else None


def unsaid(text: str, tokens: int, max_tokens: int) -> Ending:
    """Infer the ending of an answer without a finish reason: complete if it is shorter than the token limit.

    Args:
        text: the answer.
        tokens: number of tokens; if 0 (not counted), the number of characters is used as an upper bound.
        max_tokens: the limit.
    """
    return "stop" if (tokens or len(text)) < max_tokens else "length"


def _plain(word: str) -> str:
    """`FINISH_REASON_MAX_TOKENS`, `FinishReason.MAX_TOKENS`, `max-tokens` and `maxTokens` as `maxtokens`."""
    return re.sub(r"^(finish)?reason", "", re.sub(r"[\W_]+", "", word).lower())


_ENDINGS = {_plain(word): ending for ending, words in _WORDS.items() for word in words.split()}
