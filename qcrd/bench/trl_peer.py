"""TRL's SFTTrainer, one step on request: runs in a Python with trl, datasets, transformers and torch alone.

Started by `qcrd.bench.trl_process` with a JSON file as its argument. It answers on its standard output with
one JSON object per line: once its versions, then for each line that it reads the figures of one step.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from typing import Any

import torch
import transformers
import trl
from datasets import Dataset
from torch.utils.data import SequentialSampler
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer


class InOrder(SFTTrainer):  # type: ignore[misc, unused-ignore]
    """Takes examples in the order of the data, so that step n has the same ones as in other systems."""

    loss: torch.Tensor

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Remember the loss."""
        self.loss = super().training_step(*args, **kwargs)
        return self.loss


class OnRequest(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Waits for a line before each step, and answers with a line after it."""

    def __init__(self, channel: Any, cuda: bool):
        self.channel, self.cuda = channel, cuda
        self.trainer: InOrder
        self.counter: FlopCounterMode | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait; the first step, a warm-up, is counted too."""
        if not sys.stdin.readline():
            os._exit(0)
        if state.global_step == 0:
            if self.cuda:
                torch.cuda.reset_peak_memory_stats()
            self.counter = FlopCounterMode(display=False)
            self.counter.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Answer."""
        answer: dict[str, Any] = {"loss": float(self.trainer.loss)}
        if self.counter is not None:
            self.counter.__exit__(None, None, None)
            answer["flops"] = self.counter.get_total_flops()
            self.counter = None
        if self.cuda:
            torch.cuda.synchronize()
            answer["peak_bytes"] = torch.cuda.max_memory_allocated()
        self.channel.write(json.dumps(answer) + "\n")
        self.channel.flush()


def main() -> None:
    """Train until the standard input ends."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    torch.set_num_threads(job["threads"])
    cuda = job["device"] == "cuda"
    attention = "sdpa"
    if cuda and job["padding_free"] and find_spec("flash_attn"):
        attention = "flash_attention_2"
    settings = SFTConfig(
        output_dir=job["folder"],
        model_init_kwargs={"dtype": "float32", "attn_implementation": attention},
        per_device_train_batch_size=job["examples"],
        padding_free=job["padding_free"],
        packing=False,
        completion_only_loss=True,
        max_length=None if job["padding_free"] else 1024,
        max_steps=10**6,
        learning_rate=1e-6,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        weight_decay=0.01,  # torch's default
        max_grad_norm=1.0,
        gradient_checkpointing=False,
        bf16=job["bf16"],
        use_cpu=not cuda,
        dataloader_pin_memory=cuda,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    callback = OnRequest(channel, cuda)
    trainer = InOrder(
        model=job["model"], args=settings, train_dataset=Dataset.from_list(job["rows"]), callbacks=[callback]
    )
    callback.trainer = trainer
    versions = {"trl": trl.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    channel.write(json.dumps({"versions": versions, "attention": attention}) + "\n")
    channel.flush()
    trainer.train()


if __name__ == "__main__":
    main()
