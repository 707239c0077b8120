import pytest
import torch
from small import SHAPE, lengths, small_discriminator
from torch.autograd.graph import saved_tensors_hooks

from qcrd.discriminator.footprint import PER_WEIGHT, kept_bytes, training_bytes
from qcrd.student.t5.load import t5_config
from qcrd.student.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def shape():
    return t5_config(SHAPE, load_tokenizer(lengths()), 0.0)


@pytest.mark.parametrize("rows", [[40], [3, 90, 31, 44, 5, 60], [200] + [20] * 40])
def test_what_is_kept_for_a_gradient_is_what_a_real_forward_pass_keeps(shape, rows):
    model = small_discriminator().model.train()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model([[5] * length for length in rows])
    whole = sum(s.nbytes() for s in kept.values())
    assert 0.95 * whole < kept_bytes(shape, rows) <= whole  # the rest is the head's


def test_training_takes_weights_moments_and_one_chunk(shape):
    weights = sum(weight.numel() for weight in small_discriminator().model.encoder.parameters())
    row, most = 50, 400
    found = training_bytes(shape, row, most)
    assert found == PER_WEIGHT * weights + kept_bytes(shape, [row] * 8)
    assert training_bytes(shape, row, 2 * most) > 1.5 * (found - PER_WEIGHT * weights)
    assert training_bytes(shape, row, 1) == PER_WEIGHT * weights + kept_bytes(shape, [row])


def test_it_is_known_of_a_model_that_would_not_fit_here(shape):
    huge = t5_config(SHAPE.model_copy(update={"d_model": 8192, "d_ff": 32768, "layers": 48}),
                     load_tokenizer(lengths()), 0.0)  # fmt: skip
    assert training_bytes(huge, 100, 16_384) > 2**38
    assert torch.tensor([1.0]).device.type == "cpu"
