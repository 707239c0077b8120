"""The embedded teacher: a small causal language model, trained from scratch on generated problems.

It gives machines without Hub access or GPU a real teacher that makes natural errors. The one of the default
recipe comes with the package (`packaged`); another `teacher.accuracy` trains one here. Training stops at a
target *sampling* accuracy rather than at a fixed step, because accuracy rises steeply: it may double within
forty steps. The step at which the target is reached depends on the machine's rounding. Accuracy is therefore
measured more often near the target; with coarse checks the accuracy of the teachers would differ much more
between machines.
"""

from __future__ import annotations

import json
import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from qcrd import tasks
from qcrd.errors import QcrdError
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.storage.bucket import Bucket
from qcrd.tasks.arithmetic import vocabulary
from qcrd.teacher.created import FIGURES, create_once
from qcrd.teacher.packaged import packaged_teacher
from qcrd.teacher.recipe import EmbeddedRecipe
from qcrd.types import Question

log = logging.getLogger(__name__)

Progress = Callable[[int, int, float, float | None], None]
"""Called with step, maximum number of steps, loss in nats per token, and sampling accuracy or None."""

_Example = tuple[list[int], int]
"""Token ids of prompt, answer and </s>, and the number of prompt tokens."""
_IGNORED = -100  # cross entropy skips these targets


def ensure_embedded_teacher(
    root: Path, recipe: EmbeddedRecipe, progress: Progress, bucket: Bucket | None = None
) -> Path:
    """Return the folder of the trained teacher in Hugging Face format.

    If it is missing, it is copied from the package, or else trained here; see `create_once`. Its file
    `FIGURES` has steps, seconds, loss and accuracy.

    Raises:
        QcrdError: if the accuracy is not reached within the recipe's steps.
    """

    def write(folder: Path) -> None:
        model, tokenizer, figures = _train(recipe, progress)
        with _quiet():
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / FIGURES).write_text(json.dumps({**asdict(recipe), **figures}, indent=2))

    packaged = packaged_teacher(Path(root), recipe, bucket)
    return packaged or create_once(Path(root) / recipe.fingerprint(), bucket, write)


@contextmanager
def _quiet() -> Iterator[None]:
    """Disable transformers' progress bar: the file has one megabyte."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _train(
    recipe: EmbeddedRecipe, progress: Progress
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, dict[str, float]]:
    # One thread: the result must not depend on the number of free cores, and it is hardly slower.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            return _optimise(recipe, progress)
    finally:
        torch.set_num_threads(threads)


def _optimise(
    recipe: EmbeddedRecipe, progress: Progress
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, dict[str, float]]:
    begun = time.monotonic()
    torch.manual_seed(recipe.seed)
    tokenizer = word_level_tokenizer(vocabulary(), append_eos=False)
    model = _model(recipe, tokenizer)
    training, held_out = recipe.data()
    examples = [_example(q, tokenizer) for q in training]
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / recipe.warmup, (1 + math.cos(math.pi * step / recipe.max_steps)) / 2),
    )
    best, due = 0.0, recipe.check_from
    for step, batch in zip(range(1, recipe.max_steps + 1), _batches(examples, recipe), strict=False):
        model.train()
        loss = _loss(model, batch, recipe.label_smoothing)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        if step < due:
            continue
        accuracy = sampling_accuracy(model, tokenizer, held_out, recipe.temperature)
        progress(step, recipe.max_steps, loss.item(), accuracy)
        best = max(best, accuracy)
        due = step + (recipe.check_near if accuracy >= recipe.accuracy - recipe.near else recipe.check_every)
        if accuracy >= recipe.accuracy:
            seconds = round(time.monotonic() - begun, 1)
            log.info("embedded teacher: accuracy %.2f after %d steps, %.0f s", accuracy, step, seconds)
            figures = {"steps": step, "seconds": seconds, "loss": loss.item(), "sampling_accuracy": accuracy}
            return model.eval(), tokenizer, figures
    raise QcrdError(
        f"the embedded teacher reached a sampling accuracy of {best:.2f} in {recipe.max_steps} steps, "
        f"teacher.accuracy asks for {recipe.accuracy:.2f}; ask for less"
    )


def _model(recipe: EmbeddedRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.width,
            intermediate_size=recipe.feed_forward,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            head_dim=recipe.width // recipe.heads,
            max_position_embeddings=512,
            tie_word_embeddings=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
    )


def _example(question: Question, tokenizer: PreTrainedTokenizerFast) -> _Example:
    """Token ids of prompt, answer and </s>, and the number of prompt tokens."""
    task = tasks.get("arithmetic")
    prompt = tokenizer(task.prompt(question).text).input_ids
    answer = tokenizer(task.target(question.rationale or "", question.label)).input_ids
    return [*prompt, *answer, tokenizer.eos_token_id], len(prompt)


def _batches(examples: Sequence[_Example], recipe: EmbeddedRecipe) -> Iterator[list[_Example]]:
    """Endless batches, reshuffled every epoch; the last batch of an epoch may be smaller."""
    shuffle = random.Random(recipe.seed).shuffle
    order = list(examples)
    while True:
        shuffle(order)
        for start in range(0, len(order), recipe.batch):
            yield order[start : start + recipe.batch]


def _loss(model: LlamaForCausalLM, batch: Sequence[_Example], smoothing: float) -> torch.Tensor:
    """Label-smoothed cross entropy of the answers, in nats per token; prompt tokens are masked."""
    ids = pad_sequence([torch.tensor(i) for i, _ in batch], batch_first=True)  # the padding's id is 0
    labels = pad_sequence(
        [torch.tensor([_IGNORED] * n + i[n:]) for i, n in batch], batch_first=True, padding_value=_IGNORED
    )
    logits = model(input_ids=ids).logits[:, :-1]  # causal: padding on the right is never attended to
    return cross_entropy(
        logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=_IGNORED, label_smoothing=smoothing
    )


@torch.inference_mode()
def sampling_accuracy(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[Question],
    temperature: float,
) -> float:
    """Accuracy (0 to 1) on `questions` with one sampled answer per question."""
    task = tasks.get("arithmetic")
    model.eval()
    batch = tokenizer(
        [task.prompt(q).text for q in questions], padding=True, padding_side="left", return_tensors="pt"
    )
    prompt = batch.input_ids.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            do_sample=True,
            temperature=temperature,
            top_k=0,
            max_new_tokens=80,
        )
    texts = tokenizer.batch_decode(out[:, prompt:], skip_special_tokens=True)
    right = 0
    for question, text in zip(questions, texts, strict=True):
        label = task.parse(text, question).label
        right += label is not None and task.correct(label, question)
    return right / len(questions)
