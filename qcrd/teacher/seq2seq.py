"""Teachers in transformers: encoder-decoders such as FLAN-T5, which vLLM does not support."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
)

from qcrd.errors import ConfigError
from qcrd.samples.requests import Request
from qcrd.teacher.seeded import processors
from qcrd.types import Sample

log = logging.getLogger(__name__)

CHECK = 8  # tokens between two searches for a stop string: each search decodes the whole batch


class Seq2SeqSampler:
    """A SampleFn over an encoder-decoder in transformers, on the GPU if available.

    A sample depends on its request alone, up to rounding differences between batch shapes: its seed
    determines all of its tokens (see seeded.py). T5's tokenizer has no newline and collapses whitespace to
    one space, in prompts and in answers; whitespace in a stop string therefore matches any whitespace.

    Args:
        model: Hub id or folder.
        revision: of a Hub model.
        temperature: sampling temperature; 0 is greedy.
        top_p: nucleus mass.
        max_tokens: maximum answer length in tokens.
        stop: strings at which an answer ends; they are not part of it.
        dtype: of the weights; None uses float32 on CPU and the model's dtype on GPU.
        batch_tokens: maximum number of tokens per batch: prompts and answers, with padding.

    Raises:
        ConfigError: if the model cannot be loaded, or cannot generate `max_tokens` tokens.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_tokens: int = 256,
        stop: Sequence[str] = (),
        dtype: str | None = None,
        batch_tokens: int = 16_384,
    ):
        on_gpu = torch.cuda.is_available()
        self._name = model
        self._tokenizer, network = _load(model, revision, dtype or ("auto" if on_gpu else "float32"))
        self._network = network.to("cuda" if on_gpu else "cpu").eval()
        # T5's relative positions are unlimited; BART and similar models have a fixed position table.
        self._positions = getattr(network.config, "max_position_embeddings", None)
        if self._positions is not None and max_tokens >= self._positions:
            raise ConfigError(
                f"teacher.max_tokens is {max_tokens}, but {model} can write at most {self._positions - 1}; "
                "lower it, or take another teacher.model"
            )
        self._temperature, self._top_p = temperature, top_p
        self._max_tokens, self._batch_tokens = max_tokens, batch_tokens
        self._stop = re.compile("|".join(map(_pattern, stop))) if stop else None
        self._network.generation_config = _plain(network.generation_config, max_tokens)
        self._waiting: list[tuple[list[int], Request]] = []  # prompt tokens, longest first
        self._warned = False

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """The samples of `requests`, batch by batch."""
        self.feed(requests)
        while self._waiting:
            yield self.take(0.0)

    def feed(self, requests: Sequence[Request]) -> None:
        """Queue more requests; `take` processes them.

        Raises:
            ConfigError: if a prompt is longer than the model's maximum input.
        """
        if not requests:
            return
        rows = self._tokenizer([r.prompt.text for r in requests], verbose=False).input_ids
        longest = max(map(len, rows))
        if self._positions is not None and longest > self._positions:
            raise ConfigError(
                f"a prompt has {longest} tokens, and {self._name} reads at most {self._positions}; give "
                "task.prompt a file with fewer examples, or take another teacher.model"
            )
        if longest > self._tokenizer.model_max_length and not self._warned:
            self._warned = True
            log.warning(
                "teacher: prompts have up to %d tokens; %s reads them whole, but says that it was made for "
                "%d. A task.prompt with fewer examples may serve better",
                *(longest, self._name, self._tokenizer.model_max_length),
            )
        self._waiting += zip(rows, requests, strict=True)
        self._waiting.sort(key=lambda waiting: -len(waiting[0]))  # similar lengths need little padding

    def take(self, seconds: float) -> list[Sample]:
        """Process at least one batch, for about `seconds` or until the queue is empty.

        Returns:
            The finished samples.
        """
        until = time.monotonic() + seconds
        finished: list[Sample] = []
        while self._waiting and (not finished or time.monotonic() < until):
            rows = max(1, self._batch_tokens // (len(self._waiting[0][0]) + self._max_tokens))
            finished += self._answer(self._waiting[:rows])
            del self._waiting[:rows]
        return finished

    @torch.inference_mode()
    def _answer(self, batch: Sequence[tuple[list[int], Request]]) -> list[Sample]:
        device = self._network.device
        inputs = self._tokenizer.pad(
            {"input_ids": [tokens for tokens, _ in batch]}, padding_side="right", return_tensors="pt"
        ).to(device)
        seeds = [request.seed for _, request in batch]
        outputs = self._network.generate(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            logits_processor=LogitsProcessorList(processors(self._temperature, self._top_p, seeds, device)),
            stopping_criteria=[_Stop(self._stop, self._tokenizer)] if self._stop else [],
        )
        rows = outputs[:, 1:].tolist()  # without the decoder's start token
        return [self._sample(row, request) for row, (_, request) in zip(rows, batch, strict=True)]

    def _sample(self, row: list[int], request: Request) -> Sample:
        text, reason, tokens = self._read(row)
        return Sample(request.prompt_id, request.question_id, request.index, text, reason, tokens)

    def _read(self, row: list[int]) -> tuple[str, str, int]:
        """Text, finish reason and number of tokens of an answer; `row` may be padded."""
        end = self._network.generation_config.eos_token_id
        ends = end if isinstance(end, list) else [end]
        ended = next((i for i, token in enumerate(row) if token in ends), None)
        tokens = row if ended is None else row[: ended + 1]
        text = _text(self._tokenizer, tokens)
        if self._stop and self._stop.search(text):
            # Cut at the shortest prefix with a stop string: how many tokens follow depends on the batch.
            for length in range(1, len(tokens) + 1):
                text = _text(self._tokenizer, tokens[:length])
                if match := self._stop.search(text):
                    return text[: match.start()], "stop", length
        return text, "length" if ended is None else "stop", len(tokens)


class _Stop(StoppingCriteria):
    """Ends answers that contain a stop string, to save the decoding of text that would be cut off."""

    def __init__(self, pattern: re.Pattern[str], tokenizer: PreTrainedTokenizerBase):
        self.pattern, self.tokenizer = pattern, tokenizer

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:
        """Tensor [B] of bool: which answers end here."""
        if input_ids.shape[1] % CHECK:
            return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        stopped = [bool(self.pattern.search(_text(self.tokenizer, row))) for row in input_ids.tolist()]
        return torch.tensor(stopped, device=input_ids.device)


def _load(model: str, revision: str | None, dtype: str) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    safe = {"revision": revision, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, **safe)
        network = AutoModelForSeq2SeqLM.from_pretrained(model, dtype=dtype, use_safetensors=True, **safe)
    except (OSError, ValueError) as error:
        at = f" (revision {revision})" if revision else ""
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"teacher.model is {model!r}{at}, which teacher.engine transformers cannot load: {reason} "
            "Allowed: an encoder-decoder such as google/flan-t5-xl, a Hub id or a folder, with weights in "
            "safetensors and without custom code; for a causal model set teacher.engine: vllm"
        ) from error
    return tokenizer, network


def _plain(own: GenerationConfig, max_tokens: int) -> GenerationConfig:
    """Greedy decoding (the noise is in the scores), without the checkpoint's beams and penalties."""
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_tokens,
        decoder_start_token_id=own.decoder_start_token_id,
        bos_token_id=own.bos_token_id,
        eos_token_id=own.eos_token_id,
        pad_token_id=own.pad_token_id,
    )


def _pattern(stop: str) -> str:
    return r"\s+".join(map(re.escape, re.split(r"\s+", stop))) if stop.strip() else re.escape(stop)


def _text(tokenizer: PreTrainedTokenizerBase, tokens: list[int]) -> str:
    text: str = tokenizer.decode(tokens, skip_special_tokens=True)
    return text
