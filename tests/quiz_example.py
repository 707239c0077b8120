"""The worked example of docs/own-data.md, and a student for it."""

import re
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration

from qcrd.hub.word_tokenizer import word_level_tokenizer

DOC = Path(__file__).parents[1] / "docs" / "own-data.md"
FILE = re.compile(r"`([\w.]+)`:\n\n```\w+\n(.*?)\n```", re.DOTALL)


def files() -> dict[str, str]:
    """The example's files by their names."""
    return dict(FILE.findall(DOC.read_text(encoding="utf-8")))


def tiny_t5(folder: Path) -> Path:
    """A checkpoint with random weights that knows the example's words; written to `folder`."""
    example = files()
    texts = "predict: explain: " + example["quiz.jsonl"] + example["quiz.txt"]
    tokenizer = word_level_tokenizer(sorted(set(re.findall(r"\w+|[^\w\s]", texts))), append_eos=True)
    torch.manual_seed(0)
    shape = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    for part in (T5ForConditionalGeneration(shape), tokenizer):
        part.save_pretrained(folder)
    return folder
