"""What the answers of a paid server cost: before, from the prompts' length; after, from what it counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcrd.config import Api
from qcrd.samples.requests import Request

CHARACTERS = 4  # of English text in a token


@dataclass(slots=True)
class Spending:
    """Calls and tokens, counted or estimated. A call that broke off may be billed all the same."""

    calls: int = 0  # that were begun
    repeated: int = 0  # of them, made again after a failure
    prompt_tokens: int = 0
    answer_tokens: int = 0
    refused: int = 0  # answers that the model or a filter declined; they are stored as empty ones

    def cost(self, api: Api) -> float | None:
        """Dollars, where both prices are known."""
        if api.input_price is None or api.output_price is None:
            return None
        return (self.prompt_tokens * api.input_price + self.answer_tokens * api.output_price) / 1e6


def estimate(requests: Sequence[Request], max_tokens: int) -> Spending:
    """What the requests come to at most, by the rule of four characters a token."""
    return Spending(
        calls=len(requests),
        prompt_tokens=sum(tokens_of(m["content"]) for r in requests for m in r.prompt.messages),
        answer_tokens=len(requests) * max_tokens,
    )


def tokens_of(text: str) -> int:
    """About how many tokens a text has."""
    return -(-len(text) // CHARACTERS)
