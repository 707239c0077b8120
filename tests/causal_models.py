"""Tiny randomly initialised causal models over a hundred tokens, and plain passes to compare with."""

import torch
from small import CPU
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedTokenizerFast

from qcrd import config
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.causal.attention import NAME
from qcrd.student.causal.load import load_causal
from qcrd.student.causal.student import CausalStudent
from qcrd.student.tokenizer import own_words

FAMILIES = [
    "llama",
    "qwen2",
    "qwen3",
    "gpt_neox",
    "gemma",
    "mistral",
    "phi",
    "cohere",
    "granite",
    "gemma3_text",
]
TOKENIZER = word_level_tokenizer(own_words(t5=False), append_eos=False)
SHAPE = {"d_model": 16, "d_kv": 8, "d_ff": 32, "layers": 2, "heads": 2, "kv_heads": 1}


def causal_student(
    name: str, seed: int = 0, max_tokens: int | None = None, checkpointing: bool = False
) -> CausalStudent:
    """A student of the arithmetic task by its family, with `-lora` behind it one with an adapter.

    Its weights are larger than a fresh model's, those of the adapter among them, so that all of them matter.
    """
    family, _, lora = name.partition("-")
    adapter = config.Adapter(r=4, alpha=8) if lora else None
    section = config.Student(architecture=config.Architecture(family=family, **SHAPE), adapter=adapter)
    training = config.Training(max_tokens=max_tokens or 2**20, gradient_checkpointing=checkpointing)
    student = load_causal(section, TOKENIZER, seed, CPU, training=training)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad and parameter.dim() > 1:
                parameter.normal_(std=0.3, generator=generator)
    return student.eval()


def tiny(family, attention=NAME, seed=0, **changes):
    """Width 32, two layers, four heads on two of keys, float32, in evaluation mode."""
    settings = {
        "vocab_size": 100,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 48,
        "pad_token_id": 0,
        "eos_token_id": 2,
        "bos_token_id": 1,
    }
    if family == "mistral":
        settings["sliding_window"] = 5
    if family == "gemma3_text":
        settings |= {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]}
    if family == "granite":
        settings["logits_scaling"] = 3.0
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(
        CONFIG_MAPPING[family](**settings | changes), dtype=torch.float32, attn_implementation=attention
    )
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def naive(model, completions):
    """Each completion behind its prompt in a pass of its own, by the model's own attention and head."""
    values = []
    weights = completions.weights or [None] * len(completions.rows)
    for prompt, row, weight in zip(completions.prompts, completions.rows, weights, strict=True):
        logits = model(input_ids=torch.tensor([[*prompt, *row]])).logits[0, len(prompt) - 1 : -1]
        nats = -logits.log_softmax(-1)[range(len(row)), row]
        weight = (
            torch.tensor(weight or [1.0] * len(row)) if weight != [0] * len(row) else torch.zeros(len(row))
        )
        total = weight.sum()
        values.append((nats * weight).sum() / total if total > 0 else nats.sum() * 0)
    return torch.stack(values)


def byte_level_tokenizer(end="<|endoftext|>"):
    """A byte-level BPE as Llama's and Qwen's, of the words of the arithmetic task."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[end], initial_alphabet=alphabet)
    own.train_from_iterator([" ".join(own_words())], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=own, pad_token=end, eos_token=end)


def save_checkpoint(folder, family, seed=0, vocabulary=400):
    """A folder with a tiny model of a family and the byte-level tokenizer."""
    tokenizer = byte_level_tokenizer()
    ids = dict.fromkeys(("pad_token_id", "eos_token_id"), tokenizer.eos_token_id)
    tiny(family, seed=seed, vocab_size=vocabulary, bos_token_id=None, **ids).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
