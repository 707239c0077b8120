"""Cost of a paid server's answers: estimated from prompt lengths, or counted from the server's usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcrd.config import Api
from qcrd.samples.requests import Request

CHARACTERS = 4  # per token, for English text


@dataclass(slots=True)
class Spending:
    """Calls and tokens, counted or estimated. An interrupted call may be billed but is not counted here."""

    calls: int = 0  # started calls
    repeated: int = 0  # calls among them that are retries
    prompt_tokens: int = 0
    answer_tokens: int = 0
    refused: int = 0  # answers that the model or a filter refused; stored as empty answers

    def cost(self, api: Api) -> float | None:
        """Cost in dollars; None unless both prices are configured."""
        if api.input_price is None or api.output_price is None:
            return None
        return (self.prompt_tokens * api.input_price + self.answer_tokens * api.output_price) / 1e6


def estimate(requests: Sequence[Request], max_tokens: int) -> Spending:
    """Upper estimate for the requests, at four characters per token."""
    return Spending(
        calls=len(requests),
        prompt_tokens=sum(tokens_of(m["content"]) for r in requests for m in r.prompt.messages),
        answer_tokens=len(requests) * max_tokens,
    )


def tokens_of(text: str) -> int:
    """Estimated number of tokens of a text."""
    return -(-len(text) // CHARACTERS)
