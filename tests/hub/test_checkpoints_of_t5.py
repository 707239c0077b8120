"""Students from checkpoints of the T5 family, held to what transformers computes."""

import json
import shutil

import pytest
import torch
from small import CPU, SHAPE, lengths
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    MT5Config,
    MT5ForConditionalGeneration,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from qcrd import config
from qcrd.discriminator.load import load_discriminator
from qcrd.errors import ConfigError
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.load import load_student
from qcrd.student.tokenizer import load_tokenizer

TOKENIZER = word_level_tokenizer(list("abcdefg"), append_eos=True)
SIZES = {
    "vocab_size": 16,  # more than the tokenizer's, as T5's 32,128 to 32,100
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "pad_token_id": TOKENIZER.pad_token_id,
    "eos_token_id": TOKENIZER.eos_token_id,
    "decoder_start_token_id": TOKENIZER.pad_token_id,
}
# As the Hub's config.json files have it: what the head is, and how the feed-forward layers are activated.
KINDS = {
    "t5": (T5ForConditionalGeneration, T5Config, {"feed_forward_proj": "relu"}),
    "v1.1": (
        T5ForConditionalGeneration,
        T5Config,
        {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
    "flan": (
        T5ForConditionalGeneration,
        T5Config,
        {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "n_positions": 512},
    ),
    "mt5": (MT5ForConditionalGeneration, MT5Config, {"tie_word_embeddings": False}),
}
INPUTS = [[3, 4, 1], [5, 1], [3, 3, 4, 5, 6, 7, 8, 1]]
TARGETS = [[4, 5, 6, 1], [7, 1], [3, 8, 1]]


def publish(kind, folder):
    """A random checkpoint as the Hub has it: an own head where the kind has one, no word of scaling."""
    model_class, config_class, settings = KINDS[kind]
    torch.manual_seed(0)
    model = model_class(config_class(**SIZES, **settings))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    if kind != "t5":
        model.lm_head.weight = torch.nn.Parameter(0.5 * torch.randn_like(model.shared.weight))
        model.all_tied_weights_keys.pop("lm_head.weight")
    model.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    path = folder / "config.json"
    written = json.loads(path.read_text())
    written.pop("scale_decoder_outputs", None)
    path.write_text(json.dumps(written | {"tie_word_embeddings": kind == "t5"}))
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return {kind: publish(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def load(folder, **changes):
    return load_student(lengths(checkpoint=str(folder), **changes), 0, CPU)


def losses(student):
    encoded = student.read(INPUTS)
    return student.cross_entropy(encoded, range(len(INPUTS)), TARGETS)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_transformers_own_logits(published, kind):
    student = load(published[kind]).eval()
    assert (student.model.lm_head.weight is student.model.shared.weight) == (kind == "t5")
    own = AutoModelForSeq2SeqLM.from_pretrained(published[kind]).eval()
    found = losses(student)
    for row, (given, target) in enumerate(zip(INPUTS, TARGETS, strict=True)):
        labels = torch.tensor([target])
        logits = own(input_ids=torch.tensor([given]), labels=labels).logits
        assert found[row].item() == pytest.approx(cross_entropy(logits[0], labels[0]).item(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_decoding_is_that_of_transformers(published, kind):
    student = load(published[kind])
    own = AutoModelForSeq2SeqLM.from_pretrained(published[kind]).eval()
    for given, found in zip(INPUTS, student.generate(INPUTS, 8), strict=True):
        ids = torch.tensor([given])
        wanted = own.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            num_beams=1,
        )[0].tolist()[1:]
        assert found == (wanted[: wanted.index(1)] if 1 in wanted else wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_trains_every_weight_and_what_is_saved_is_what_was_trained(published, kind, tmp_path):
    student = load(published[kind])
    before = {name: p.detach().clone() for name, p in student.named_parameters()}
    assert ("model.lm_head.weight" in before) == (kind != "t5")
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-2)
    first = losses(student).mean()
    first.backward()
    optimizer.step()
    assert losses(student).mean() < first
    assert all(not torch.equal(before[name], p) for name, p in student.named_parameters())
    student.save(tmp_path)
    assert torch.allclose(losses(load(tmp_path).eval()), losses(student.eval()))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_what_the_settings_say(published, kind):
    for rate in (0.0, 0.25):
        student = load(published[kind], dropout=rate)
        rates = {m.p for m in student.modules() if isinstance(m, torch.nn.Dropout)}
        assert rates == {rate}
        student.train()
        torch.manual_seed(0)
        assert torch.equal(losses(student), losses(student)) == (rate == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_discriminator_takes_the_encoder_of_any_of_them(published, kind):
    section = config.Discriminator(checkpoint=str(published[kind]))
    judge = load_discriminator(section, TOKENIZER, "fp32", 0, CPU)
    student = load(published[kind]).eval()
    wanted = student.model.encoder(input_ids=torch.tensor(INPUTS[2])[None]).last_hidden_state[0].mean(0)
    assert torch.allclose(judge.eval().pooled([INPUTS[2]])[0], wanted, atol=1e-5)


def test_a_checkpoint_without_safetensors_is_refused_with_what_to_do(published, tmp_path):
    shutil.copytree(published["t5"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"student\.checkpoint.*safetensors.*refs/pr/N.*save_pretrained"):
        load(tmp_path)


def test_a_checkpoint_of_another_family_is_refused(tmp_path):
    BartForConditionalGeneration(
        BartConfig(vocab_size=16, d_model=16, encoder_layers=1, decoder_layers=1,
                   encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2,
                   decoder_attention_heads=2)
    ).save_pretrained(tmp_path)  # fmt: skip
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"\(bart\); allowed: the T5 family \(t5, mt5\), and decoder-only"):
        load(tmp_path)


def test_a_checkpoint_that_lacks_weights_is_not_filled_up_at_random(tmp_path):
    T5EncoderModel(T5Config(**SIZES)).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"lacks \d+ weights \(decoder"):
        load(tmp_path)


def test_a_checkpoint_that_knows_fewer_tokens_than_the_tokenizer_is_refused(published, tmp_path):
    word_level_tokenizer(list("abcdefghijklmnopqrstuvwxyz"), append_eos=True).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"knows 16 tokens, the student's tokenizer has 2\d"):
        load(published["t5"], tokenizer=str(tmp_path))


@pytest.mark.parametrize("field", ["checkpoint", "tokenizer"])
def test_a_place_with_nothing_in_it_is_refused(tmp_path, published, field):
    places = {"checkpoint": published["t5"], "tokenizer": published["t5"], field: tmp_path}
    section = lengths(**{name: str(place) for name, place in places.items()})
    with pytest.raises(ConfigError, match=rf"student\.{field}: .* could not be loaded"):
        load_student(section, 0, CPU)


def test_a_hub_checkpoint_knows_its_commit_and_a_folder_has_none(published, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--someone--tiny-t5"
    shutil.copytree(published["t5"], cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for revision in (None, "main", commit):
        assert load("someone/tiny-t5", revision=revision).commit == commit
    assert load(published["t5"]).commit is None
    assert load_student(lengths(architecture=SHAPE), 0, CPU).commit is None
    with pytest.raises(ConfigError, match=r"student\.checkpoint: 'someone/tiny-t5' could not be loaded"):
        load("someone/tiny-t5", revision="other")


def test_a_discriminator_knows_its_commit_too(published, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--google--t5-v1_1-base"
    shutil.copytree(published["v1.1"], cached / "snapshots" / commit)
    (cached / "refs" / "refs" / "pr").mkdir(parents=True)
    (cached / "refs" / "refs" / "pr" / "1").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    named = config.Discriminator(checkpoint="google/t5-v1_1-base")  # whose revision with safetensors is known
    assert load_discriminator(named, TOKENIZER, "fp32", 0, CPU).commit == commit
    assert load("google/t5-v1_1-base").commit == commit
    local = config.Discriminator(checkpoint=str(published["t5"]))
    assert load_discriminator(local, TOKENIZER, "fp32", 0, CPU).commit is None


def test_a_checkpoint_whose_tokenizer_is_a_sentencepiece_model_alone_is_read(shared_data, tmp_path):
    """As T5 v1.1 has it on the Hub."""
    shutil.copy(shared_data / "tokenizer_t5" / "spiece.model", tmp_path)
    T5Config(**SIZES).save_pretrained(tmp_path)
    found = load_tokenizer(lengths(checkpoint=str(tmp_path)))
    whole = load_tokenizer(lengths(tokenizer=str(shared_data / "tokenizer_t5"), architecture=SHAPE))
    text = "predict: There are 3 cups. ( 3 + 4 )"
    assert found(text).input_ids == whole(text).input_ids and len(found) == len(whole)


def test_the_real_t5_tokenizer_ends_and_cuts_as_training_needs_it(shared_data):
    section = lengths(tokenizer=str(shared_data / "tokenizer_t5"), architecture=SHAPE)
    tokenizer = load_tokenizer(section)
    student = load_student(section, 0, CPU)
    assert student.model.config.vocab_size == len(tokenizer) == 32_100
    (whole,), (cut,) = (student.completions(["predict: 3 cups and\n4 cups"], limit) for limit in (64, 5))
    assert whole[-1] == cut[-1] == tokenizer.eos_token_id
    assert cut[:-1] == whole[:4]
    assert student.text(whole) == "predict: 3 cups and 4 cups", "a newline is read as a space"
