"""The packed arithmetic against transformers' own modules."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import CPU
from transformers import T5Config, T5ForConditionalGeneration

from qcrd.student.t5 import packing
from qcrd.student.t5.forward import Stack, buckets
from qcrd.student.t5.packing import Layout
from qcrd.student.t5.replay import Arithmetic

ROWS = [[3, 4, 1], [5, 1], [3, 3, 4, 5, 6, 7, 8, 1], [9, 1]]


def model_of(gated, dropout=0.0, **changes):
    torch.manual_seed(0)
    shape = T5Config(
        vocab_size=12, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=3, dropout_rate=dropout,
        feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
        relative_attention_num_buckets=8, relative_attention_max_distance=6, **changes,
    )  # fmt: skip
    model = T5ForConditionalGeneration(shape).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def packed(rows):
    return torch.tensor([token for row in rows for token in row]), Layout.of([len(r) for r in rows], CPU)


@pytest.mark.parametrize("worth", [0, 2**15])  # several rectangles, and one
@pytest.mark.parametrize("gated", [True, False])
def test_encoder_and_decoder_equal_those_of_transformers_with_all_gradients(gated, worth, monkeypatch):
    monkeypatch.setattr(packing, "WORTH", worth)
    model = model_of(gated)
    encoder, decoder = Stack(model.encoder), Stack(model.decoder)
    targets, source = [[0, 4, 5], [0], [0, 7, 7, 7, 2, 9, 9], [0, 3], [0, 8]], [2, 0, 2, 3, 2]
    ids, layout = packed(ROWS)
    whole = Layout.of([len(r) for r in ROWS], CPU, apart=False)
    memory = decoder.remember(encoder.encode(ids, layout), whole)
    ids, layout = packed(targets)
    cross = Layout.grouped([len(t) for t in targets], source, CPU)
    found = decoder.decode(ids, layout, cross, memory, Arithmetic(0.0))
    alone = []
    for target, row in zip(targets, source, strict=True):
        read = model.encoder(input_ids=torch.tensor([ROWS[row]])).last_hidden_state
        out = model.decoder(input_ids=torch.tensor([target]), encoder_hidden_states=read)
        alone.append(out.last_hidden_state[0])
    wanted = torch.cat(alone)
    near = {"rtol": 1e-3, "atol": 1e-4}  # transformers takes the norms in float32
    torch.testing.assert_close(found, wanted, **near)
    upstream = torch.randn(wanted.shape, dtype=torch.float64)
    parameters = [p for name, p in model.named_parameters() if gated is False or "lm_head" not in name]
    for a, b in zip(
        torch.autograd.grad((found * upstream).sum(), parameters),
        torch.autograd.grad((wanted * upstream).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b, **near)


@pytest.mark.parametrize("decoder", [True, False])
@pytest.mark.parametrize("count, longest", [(32, 128), (8, 6), (16, 50)])
def test_the_buckets_are_those_of_transformers(decoder, count, longest):
    attention = (
        (model_of(True).decoder if decoder else model_of(True).encoder).block[0].layer[0].SelfAttention
    )
    place = torch.arange(200)
    wanted = attention._relative_position_bucket(place[None] - place[:, None], not decoder, count, longest)
    assert torch.equal(buckets(200, decoder, count, longest, CPU), wanted)


@pytest.mark.slow
def test_dropout_changes_a_pass_in_training_alone_and_keeps_its_mean():
    model = model_of(True, dropout=0.2)
    encoder, (ids, layout) = Stack(model.encoder), packed(ROWS)
    model.eval()
    calm = encoder.encode(ids, layout)
    assert torch.equal(calm, encoder.encode(ids, layout))
    model.train()
    passes = torch.stack([encoder.encode(ids, layout) for _ in range(600)])
    assert not torch.equal(passes[0], passes[1])
    theirs = torch.stack(
        [model.encoder(input_ids=torch.tensor([ROWS[0]])).last_hidden_state[0] for _ in range(600)]
    )
    ours = passes[:, : len(ROWS[0])]
    assert (ours.mean(0) - theirs.mean(0)).abs().max() < 0.2
    assert (ours.std(0) / theirs.std(0) - 1).abs().max() < 0.25


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5)), min_size=1, max_size=12),
    st.sampled_from([0, 2**15]),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_sequences_of_one_group_lie_side_by_side_and_come_back_in_their_own_order(sequences, worth):
    lengths, group = [n for n, _ in sequences], [g for _, g in sequences]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "WORTH", worth)
        layout = Layout.grouped(lengths, group, CPU)
    tokens = torch.arange(1.0, sum(lengths) + 1)[:, None].repeat(1, 2).requires_grad_()
    spread = layout.spread(tokens)
    parts = tokens[:, 0].split(lengths)
    seen = []
    for part, values, beyond in zip(layout.rectangles, spread, layout.hidden(torch.float32), strict=True):
        assert part.width == part.lengths.max()
        for row, length, cells, hidden in zip(part.rows, part.lengths, values[..., 0], beyond, strict=True):
            wanted = [t for p, g in zip(parts, group, strict=True) if g == row for t in p.tolist()]
            assert length == len(wanted)
            assert cells.tolist() == wanted + [0.0] * (part.width - len(wanted))
            assert torch.equal(hidden.flatten() == 0, cells > 0)
            seen.append(int(row))
    assert sorted(seen) == sorted(set(group))
    assert torch.equal(layout.collect(spread), tokens)
    (grad,) = torch.autograd.grad(layout.collect([part * 3 for part in spread]).sum(), tokens)
    assert torch.equal(grad, torch.full_like(tokens, 3))
    (whole,) = Layout.grouped(lengths, group, CPU, apart=False).rectangles
    assert whole.rows.tolist() == sorted(set(group))
