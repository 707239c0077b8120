"""Teachers in vLLM, in this process. This is the only module that imports vllm."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence

from qcrd.errors import ConfigError
from qcrd.quick_imports import quick_model_imports
from qcrd.samples.requests import Request
from qcrd.teacher.chat import NO_SYSTEM, has_system_role, messages
from qcrd.teacher.unloadable import explained
from qcrd.types import Sample

log = logging.getLogger(__name__)


class VllmSampler:
    """A SampleFn over a causal language model in a vLLM engine.

    Each sample is one request with its own seed, so that it depends on its request alone. If the tokenizer
    has a chat template, the prompt is formatted with it; without a system role, the instructions go into
    the first user message.

    Args:
        model: Hub id or folder.
        revision: of a Hub model.
        temperature: sampling temperature; 0 is greedy.
        top_p: nucleus mass.
        max_tokens: maximum answer length in tokens.
        stop: strings at which an answer ends; they are not part of it.
        tensor_parallel: number of GPUs across which the model is sharded.
        memory: share of a GPU's memory that the engine may use. On CPU, VLLM_CPU_KVCACHE_SPACE (GiB; default
            1) bounds the KV cache instead.
        max_len: maximum length of prompt plus answer in tokens; None uses the model's.
        dtype: of the weights; None uses float32 on CPU and the model's dtype on GPU.
        quantization: vLLM's name of the method; None uses the model's configuration.

    Raises:
        ConfigError: if the model cannot be loaded, and another attempt would fail in the same way.

    Attributes:
        chat: whether prompts are formatted with a chat template.
        system_role: whether the chat template supports a system message.
        engine: the `vllm.LLM`.
        parameters: returns the sampling parameters for a seed.
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
        tensor_parallel: int = 1,
        memory: float = 0.85,
        max_len: int | None = None,
        dtype: str | None = None,
        quantization: str | None = None,
    ):
        # vLLM reads these when it is imported.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # no child processes: 4 s to start, not 22
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; the default reserves most of the memory
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # other actors share the cores
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with quick_model_imports():
                from vllm import LLM, SamplingParams
                from vllm.exceptions import VLLMValidationError
                from vllm.platforms import current_platform

            on_cpu = current_platform.is_cpu()
            special = (
                # A seed per request with chunked prefill crashes ("CPU Generator does not use offset").
                {"enable_chunked_prefill": False, "max_num_batched_tokens": 8192, "enforce_eager": True}
                if on_cpu
                else {"gpu_memory_utilization": memory}
            )
            with explained(model):
                self.engine = LLM(
                    model=model,
                    revision=revision,
                    tokenizer_revision=revision,
                    load_format="safetensors",  # no pickle files
                    trust_remote_code=False,  # no code from the model's repository
                    dtype=dtype or ("float32" if on_cpu else "auto"),
                    quantization=quantization,
                    tensor_parallel_size=tensor_parallel,
                    # By default vLLM requests GPUs from Ray that this actor already holds, and waits forever.
                    distributed_executor_backend="mp" if tensor_parallel > 1 else None,
                    max_model_len=max_len,
                    seed=0,
                    use_tqdm_on_load=False,
                    **special,
                )
        self._running: dict[str, Request] = {}  # by vLLM's request id
        self._refusal = VLLMValidationError
        self.parameters = lambda seed: SamplingParams(
            n=1, seed=seed, temperature=temperature, top_p=top_p, max_tokens=max_tokens, stop=list(stop)
        )
        tokenizer = self.engine.get_tokenizer()
        self.chat = bool(getattr(tokenizer, "chat_template", None))
        self.system_role = not self.chat or has_system_role(
            lambda chat: tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        )
        if not self.system_role:
            log.warning(NO_SYSTEM, model)

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """The samples of `requests`, in the order in which they finish."""
        self.feed(requests)
        while self._running:
            yield self.take(1.0)

    def feed(self, requests: Sequence[Request]) -> None:
        """Queue more requests; `take` processes them.

        Raises:
            ConfigError: if vLLM rejects a prompt, for example because it is longer than `max_len`.
        """
        parameters = [self.parameters(r.seed) for r in requests]
        try:
            if self.chat:
                conversations = [messages(r.prompt, self.system_role) for r in requests]
                ids = self.engine.enqueue_chat(conversations, parameters, use_tqdm=False)
            else:
                ids = self.engine.enqueue([r.prompt.text for r in requests], parameters, use_tqdm=False)
        except self._refusal as error:
            raise ConfigError(
                f"vLLM refused a prompt: {error} If it is too long, raise teacher.max_len as far "
                "as the model allows, or take another teacher.model"
            ) from error
        # `enqueue` returns the request id with a suffix that the outputs do not have.
        self._running |= {i.partition("-")[0]: r for i, r in zip(ids, requests, strict=True)}

    def take(self, seconds: float) -> list[Sample]:
        """Work for about `seconds` or until the queue is empty; returns newly finished samples."""
        until, finished = time.monotonic() + seconds, []
        while self._running and time.monotonic() < until:
            for output in self.engine.llm_engine.step():
                if output.finished:
                    request, answer = self._running.pop(output.request_id), output.outputs[0]
                    finished.append(
                        Sample(
                            request.prompt_id,
                            request.question_id,
                            request.index,
                            answer.text,
                            answer.finish_reason,
                            len(answer.token_ids),
                        )
                    )
        return finished
