"""Writing in slots: against transformers' generate, and in distribution."""

import pytest
import torch
from causal_models import FAMILIES, tiny
from daily import some

from qcrd.student.causal import decoding
from qcrd.student.causal.decoding import Sampling, Writer

LIMIT = 14
LONG = list(range(10, 30))
PROMPTS = [
    [3, 4, 11],
    [5],
    [3, 3, 4, 5, 6, 7, 8],
    LONG,
    [9, 1],
    [*LONG, 4],
    [6, 1],
    [8, 3, 9, 4, 1],
    [40, 41],
]
ENDS = [2, 5, 33, 34, 35, 36, 37, 38, 39, 60, 61, 62, 63]  # so many that random models end at many lengths


def by_generate(model, prompt, limit=LIMIT):
    model.set_attn_implementation("sdpa")
    ids = torch.tensor([prompt])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=ENDS,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    model.set_attn_implementation("qcrd_packed")
    return out[:-1] if out[-1] in ENDS else out


@pytest.mark.parametrize("family", some(FAMILIES, ["llama", "gpt_neox", "gemma3_text"]))
def test_greedy_equals_transformers_for_any_batch_size(family):
    model = tiny(family)
    wanted = [by_generate(model, prompt) for prompt in PROMPTS]
    writer = Writer(model, ENDS, Sampling())
    for batch in (1, 3, 256):
        assert writer.write(PROMPTS, LIMIT, batch=batch) == wanted
    assert writer.write(PROMPTS[::-1], LIMIT) == wanted[::-1]


@pytest.mark.parametrize("batch", some([1, 3, 5, 256], [3]))
def test_a_free_slot_takes_the_next_prompt_with_its_own_limit(batch):
    writer = Writer(tiny("llama"), ENDS, Sampling())
    alone = [writer.write([prompt], LIMIT)[0] for prompt in PROMPTS]
    assert len(set(map(len, alone))) >= 3, "the case must have completions of several lengths"
    limits = [LIMIT, 3, 0, 9, 1, LIMIT, 5, 2, 7] * 2
    wanted = [row[:n] for row, n in zip(alone * 2, limits, strict=True)]
    assert writer.write(PROMPTS * 2, limits, batch=batch) == wanted
    twice = [row for row in alone for _ in range(2)]
    assert writer.write(PROMPTS, LIMIT, draws=2, batch=batch) == twice


def test_a_prompt_is_read_once_for_all_its_draws(monkeypatch):
    model = tiny("llama")
    writer, read = Writer(model, ENDS, Sampling(1.0), torch.Generator().manual_seed(0)), []
    hidden = Writer._hidden
    monkeypatch.setattr(Writer, "_hidden", lambda *given: read.append(len(given[1])) or hidden(*given))
    writer.write([LONG, [*LONG, 4]], 1, draws=5)
    assert read == [len(LONG), 10]


@pytest.mark.parametrize(("top_k", "top_p"), [(None, 1.0), (3, 1.0), (None, 0.5)])
def test_sampling_follows_the_tempered_distribution_of_the_likeliest(top_k, top_p):
    model = tiny("qwen3")
    tau = 1.5
    logits = model(input_ids=torch.tensor([LONG])).logits[0, -1] / tau
    order = logits.argsort(descending=True)
    likeliest = torch.zeros_like(logits).bool()
    likeliest[order[:top_k]] = True
    share = logits.where(likeliest, -torch.inf).softmax(-1)
    before = share[order].cumsum(0) - share[order]
    likeliest[order[before >= top_p]] = False
    wanted = logits.where(likeliest, -torch.inf).softmax(-1)
    writer = Writer(model, [99], Sampling(tau, top_k, top_p), torch.Generator().manual_seed(0))
    drawn = writer.write([LONG], 1, draws=4000, batch=4000)
    counts = torch.bincount(torch.tensor([r[0] if r else 99 for r in drawn]), minlength=100) / 4000
    assert (counts - wanted).abs().max() < 0.04
    assert (counts[~likeliest] == 0).all()


def test_sampling_is_reproducible():
    def sample(seed):
        generator = torch.Generator().manual_seed(seed)
        return Writer(tiny("llama"), ENDS, Sampling(1.0), generator).write(PROMPTS, LIMIT, draws=2)

    assert sample(0) == sample(0)
    assert sample(0) != sample(1)


def test_long_prompts_are_written_a_few_at_a_time(monkeypatch):
    writer = Writer(tiny("llama"), ENDS, Sampling())
    wanted = writer.write(PROMPTS, LIMIT)
    monkeypatch.setattr(decoding, "MEMORY", 3 * 2 * 2 * 2 * 8 * 4 * (len(LONG) + 1 + LIMIT))
    sizes, step = [], Writer._step
    monkeypatch.setattr(Writer, "_step", lambda *given: sizes.append(len(given[2].job)) or step(*given))
    assert writer.write(PROMPTS, LIMIT) == wanted
    assert max(sizes) == 3


def test_nothing_to_write():
    writer = Writer(tiny("llama"), ENDS, Sampling())
    assert writer.write([], LIMIT) == []
    assert writer.write(PROMPTS[:2], 0) == [[], []]
