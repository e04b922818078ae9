"""feature_batches: what is yielded, from which batches, and what it warns about (promise P9)."""

import warnings
from collections import UserDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset, TensorDataset

from neucollapse import InputError
from neucollapse._errors import ForwardError, NonDeterministicWarning, TrainModeWarning
from neucollapse.probe import feature_batches, find_classifier, inspect

K, D, N = 3, 6, 20


class Net(nn.Module):
    def __init__(self, noise=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, D), nn.BatchNorm1d(D), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(D, K)
        self.noise = noise

    def forward(self, x):
        features = self.body(x)
        return self.fc(features + self.noise * torch.randn_like(features) if self.noise else features)


@pytest.fixture
def data():
    return TensorDataset(torch.randn(N, 8), torch.randint(K, (N,)))


def gathered(batches):
    return [torch.cat(parts) for parts in zip(*((b.features, b.labels, b.decisions) for b in batches), strict=True)]


def test_values(data):
    model = Net().eval()
    batches = feature_batches(model, DataLoader(data, batch_size=7), layers=["body.0"], logits=True)
    x, y = data.tensors
    with torch.no_grad():
        features = model.body(x)
        logits = model.fc(features)
    kept = list(batches)
    assert [len(batch.labels) for batch in kept] == [7, 7, 6]
    assert len(batches) == 3
    got = gathered(kept)
    torch.testing.assert_close(got[0], features)
    assert torch.equal(got[1], y)
    assert torch.equal(got[2], logits.argmax(1))
    torch.testing.assert_close(torch.cat([batch.logits for batch in kept]), logits)
    torch.testing.assert_close(torch.cat([batch.layers["body.0"] for batch in kept]), model.body[0](x).detach())
    assert next(iter(feature_batches(model, DataLoader(data)))).logits is None


def test_two_passes_shuffle_alike_and_the_classifier_is_found_once(data):
    batches = feature_batches(Net().eval(), DataLoader(data, batch_size=7, shuffle=True), layers="auto")
    one, two = gathered(batches), gathered(batches)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[1], data.tensors[1])
    assert batches.layers == ["body.2"]


def test_the_classifier_may_be_asked_for_first(data):
    model = Net().eval()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    batches = feature_batches(model, DataLoader(data, batch_size=7, shuffle=True))
    assert (batches.classifier.name, batches.classifier.num_classes, batches.classifier.dim) == ("fc", K, D)
    assert torch.equal(torch.rand(3), expected)
    again = feature_batches(model, [(torch.zeros(2, 8), torch.zeros(2).long())], classifier=batches.classifier)
    assert again.classifier is batches.classifier


FORMS = {
    "pair": lambda x, y: (x, y),
    "list": lambda x, y: [x, y],
    "labels of shape (B, 1)": lambda x, y: (x, y[:, None]),
    "small integers": lambda x, y: (x, y.to(torch.uint8)),
    "list of labels": lambda x, y: (x, y.tolist()),
    "numpy": lambda x, y: (x.numpy(), y.numpy()),
    "x and y": lambda x, y: {"x": x, "y": y},
    "another name": lambda x, y: {"image": x, "label": y},
    "keywords with extra columns": lambda x, y: {"x": x, "labels": y, "idx": torch.arange(len(y))},
    "mapping that is no dict": lambda x, y: UserDict({"x": x, "targets": y}),
    "tuple of arguments": lambda x, y: ((x,), y),
    "dict of arguments": lambda x, y: ({"x": x}, y),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_batches(form, data):
    model = Net().eval()
    x, y = data.tensors
    got = gathered(feature_batches(model, [FORMS[form](x, y)]))
    torch.testing.assert_close(got[0], model.body(x).detach())
    assert torch.equal(got[1], y)


class KeywordsOnly(Net):
    def forward(self, **inputs):
        return super().forward(inputs["pixel_values"])


def test_keywords_of_a_model_that_takes_any(data):
    x, y = data.tensors
    list(feature_batches(KeywordsOnly().eval(), [{"pixel_values": x, "labels": y}]))


x, y = torch.zeros(4, 8), torch.tensor([0, 1, 2, 0])
BAD = {
    "tensor alone": (
        x,
        r"batch 0 of the loader: expected \(inputs, labels\), or a dict .* got Tensor of shape \(4, 8\)",
    ),
    "three": ((x, y, y), "got tuple of 3 .* Wrap the loader so that it yields pairs"),
    "no labels": ({"x": x, "z": y}, r"got dict with keys \['x', 'z'\]"),
    "two labels": ({"x": x, "y": y, "labels": y}, "got dict with keys"),
    "float labels": ((x, y.float()), "batch 0 of the loader: expected integer labels, got torch.float32"),
    "mixed labels": ((x, torch.rand(4, 3)), "Mixed labels have no single class"),
    "one-hot integers": ((x, torch.eye(3).long()[y]), r"the labels have shape \(4, 3\). One-hot rows become"),
    "too few labels": ((x, y[:3]), r"took features of shape \(4, 6\), the labels have shape \(3,\)"),
    "names": ((x, ["cat", "dog", "cat", "dog"]), "expected class numbers, got names such as 'cat': class_names="),
    "a number": ((x, torch.tensor(1)), "expected one label a sample, got a single number"),
    "unknown keywords": ({"one": x, "two": x, "y": y}, r"Net.forward accepts \(\['x'\]\)"),
}


@pytest.mark.parametrize("form", BAD)
def test_batches_that_cannot_be_used(form):
    batch, message = BAD[form]
    with pytest.raises(InputError, match=message):
        list(feature_batches(Net().eval(), [batch]))


def test_errors_say_which_batch():
    with pytest.raises(InputError, match="batch 1 of the loader"):
        list(feature_batches(Net().eval(), [(x, y), (x, y[:2])]))
    with pytest.raises(InputError, match=r"layer 'body.0' cannot be measured") as caught:
        list(feature_batches(Net().eval(), [(x, y)], layers=["body.0"], pool=lambda output: output[0]))
    assert caught.value.__notes__ == ["in batch 0 of the loader, with labels of shape (4,)"]


def raises(error):
    def forward(model, inputs):
        raise error

    return forward


def test_an_error_of_the_model_is_a_sentence_with_the_error_as_its_cause():
    sentence = r"batch 1 of the loader: expected a forward pass of Net on Tensor of shape \(4, 5\) and torch.float32, got Runti"
    with pytest.raises(ForwardError, match=sentence + "meError: mat1 and mat2") as caught:
        list(feature_batches(Net().eval(), [(x, y), (x[:, :5], y)]))
    assert type(caught.value.__cause__) is RuntimeError
    for error in (KeyError("mask"), ZeroDivisionError(), torch.OutOfMemoryError("no room")):
        batches = feature_batches(Net().eval(), [(x, y)], forward=raises(error))
        doors = {
            "batch 0 of the loader: ": lambda batches=batches: list(batches),
            "": lambda error=error: find_classifier(Net(), x, forward=raises(error)),
            "(?!batch)": lambda error=error: inspect(Net(), example=x, forward=raises(error)),
        }
        for where, door in doors.items():
            with pytest.raises(
                ForwardError, match=f"^{where}expected a forward .*got {type(error).__name__}: .*"
            ) as caught:
                door()
            assert caught.value.__cause__ is error
    with pytest.raises(KeyboardInterrupt):
        list(feature_batches(Net().eval(), [(x, y)], forward=raises(KeyboardInterrupt())))


def test_arguments_that_cannot_be_used():
    for options, message in (
        ({"mode": "train"}, 'mode to be "eval" or "keep"'),
        ({"pool": "max"}, "expected pool"),
        ({"layers": ["nope"]}, "no layer 'nope'"),
    ):
        with pytest.raises(InputError, match=message):
            feature_batches(Net(), [], **options)


def test_empty_loader():
    with pytest.raises(InputError, match="the loader gave no samples"):
        list(feature_batches(Net().eval(), []))
    with pytest.raises(InputError, match="the loader gave no samples"):
        _ = feature_batches(Net().eval(), []).classifier
    rank_without_samples = feature_batches(Net().eval(), [], allow_empty=True)
    assert list(rank_without_samples) == []
    assert rank_without_samples.classifier.num_classes == K


def test_iterators_give_one_pass():
    batches = feature_batches(Net().eval(), iter([(x, y)]))
    assert not batches.repeatable
    assert batches.classifier.name == "fc"  # its first batch is kept for the pass
    assert len(list(batches)) == 1
    with pytest.raises(InputError, match="read once only"):
        list(batches)


# Tokens and pixels


class Tagger(nn.Module):
    """A tiny transformer with one output a token, as an object with logits."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.layers = nn.ModuleList([nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)])
        self.score = nn.Linear(8, K)

    def forward(self, input_ids, attention_mask=None):
        h = self.embed(input_ids)
        for layer in self.layers:
            h = layer(h)
        return SimpleNamespace(logits=self.score(h))


def test_one_label_a_token():
    model = Tagger().eval()
    tokens, labels = torch.randint(11, (2, 5)), torch.randint(K, (2, 5))
    labels[1, 3:] = -100
    batch = {"input_ids": tokens, "attention_mask": torch.ones(2, 5), "labels": labels}
    (got,) = feature_batches(model, [batch], layers="auto", logits=True)
    assert got.features.shape == (10, 8)
    assert torch.equal(got.labels, labels.flatten())  # ignored labels pass through
    assert list(got.layers) == ["layers.0", "layers.1"]
    assert torch.equal(got.layers["layers.1"], got.features)
    torch.testing.assert_close(got.logits, model.score(got.features).detach())


def test_unshifted_labels_of_a_causal_language_model_are_refused():
    tokens = torch.randint(K, (2, 5))
    labels = tokens.masked_fill(torch.arange(5) == 4, -100)
    with pytest.raises(InputError, match="not yet shifted by one"):
        list(feature_batches(Tagger().eval(), [{"input_ids": tokens, "labels": labels}]))
    list(feature_batches(Tagger().eval(), [({"input_ids": tokens}, tokens)]))  # said in so many words: fine


def test_tokens_with_one_label_a_sample_do_not_fit():
    with pytest.raises(InputError, match=r"took features of shape \(2, 5, 8\), the labels have shape \(2,\)"):
        list(feature_batches(Tagger().eval(), [(torch.zeros(2, 5).long(), torch.zeros(2).long())]))


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, D, 3, padding=1)
        self.predict = nn.Conv2d(D, K, 1)

    def forward(self, image):
        return {"out": self.predict(self.body(image).relu())}


def test_one_label_a_pixel():
    model = Segmenter().eval()
    image, labels = torch.randn(2, 3, 4, 5), torch.randint(K, (2, 4, 5))
    (got,) = feature_batches(model, [(image, labels)])
    expected = model.body(image).relu().detach()
    assert torch.equal(got.features[1 * 20 + 2 * 5 + 3], expected[1, :, 2, 3])
    assert torch.equal(got.labels, labels.flatten())
    assert torch.equal(got.decisions, model(image)["out"].argmax(1).flatten())


def test_own_forward():
    model = Net().eval()
    batches = feature_batches(
        model, [({"deep": {"x": x}}, y)], forward=lambda model, inputs: model(inputs["deep"]["x"])
    )
    assert next(iter(batches)).features.shape == (4, D)


# Honesty


def test_train_mode_is_left_with_a_warning(data):
    model = Net().train()
    with pytest.warns(TrainModeWarning, match="in train mode; its features are measured in eval mode"):
        got = gathered(feature_batches(model, DataLoader(data, batch_size=7)))
    assert model.training
    torch.testing.assert_close(got[0], model.eval().body(data.tensors[0]).detach())
    with pytest.raises(InputError, match="in train mode"):
        list(feature_batches(model.train(), DataLoader(data), strict=True))


def test_train_mode_is_kept_if_asked(data):
    model = Net().train()
    loader = DataLoader(data, batch_size=20)
    with pytest.warns() as caught:
        got = gathered(feature_batches(model, loader, mode="keep"))
    assert {warning.category for warning in caught} == {TrainModeWarning, NonDeterministicWarning}
    assert (got[0] == 0).float().mean() > 0.5  # dropout was active


def test_noise_is_noticed(data):
    with pytest.warns(NonDeterministicWarning, match="two forward passes .* differ: features by"):
        list(feature_batches(Net(noise=1e-3).eval(), DataLoader(data)))
    with pytest.raises(InputError, match="two forward passes"):
        list(feature_batches(Net(noise=1e-3).eval(), DataLoader(data), strict=True))


def test_batch_norm_without_running_statistics_is_noticed(data):
    model = Net().eval()
    model.body[1] = nn.BatchNorm1d(D, track_running_stats=False).eval()
    with pytest.warns(NonDeterministicWarning, match=r"which samples share a batch: 'body.1' \(BatchNorm1d\)"):
        list(feature_batches(model, DataLoader(data, batch_size=20)))


class Augmented(Dataset):
    def __init__(self, data, generator):
        self.data, self.generator = data, generator

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        x, y = self.data[index]
        return x + 0.1 * torch.randn(x.shape, generator=self.generator), y


def test_a_loader_that_differs_between_passes_is_noticed(data):
    batches = feature_batches(Net().eval(), DataLoader(Augmented(data, torch.Generator()), batch_size=7))
    list(batches)
    with pytest.warns(NonDeterministicWarning, match="later pass over the loader differs .* other features"):
        list(batches)
    # Noise from the global generator is the same in both passes: a fixed draw, measured twice.
    batches = feature_batches(Net().eval(), DataLoader(Augmented(data, None), batch_size=7))
    list(batches)
    list(batches)


def test_random_numbers_of_the_loader_go_on_from_batch_to_batch():
    still = TensorDataset(torch.zeros(3, 8), torch.arange(3))
    first, second, _ = (b.features for b in feature_batches(nn.Linear(8, K).eval(), DataLoader(Augmented(still, None))))
    assert not torch.equal(first, second)


class Growing:
    passes = 0

    def __iter__(self):
        self.passes += 1
        yield from [(x, y)] * self.passes


def test_a_loader_of_another_length_is_refused_if_strict():
    batches = feature_batches(Net().eval(), Growing(), strict=True)
    list(batches)
    with pytest.raises(InputError, match="it gave 8 samples, not 4"):
        list(batches)


def test_shuffling_with_drop_last(data):
    def run(**options):
        list(feature_batches(Net().eval(), DataLoader(data, **options)))

    with pytest.warns(NonDeterministicWarning, match="each pass misses 6 of 20 samples"):
        run(batch_size=7, shuffle=True, drop_last=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(batch_size=5, shuffle=True, drop_last=True)
        run(batch_size=7, drop_last=True)
        run(batch_size=7, shuffle=True)


def test_a_distributed_sampler_that_repeats_samples(data):
    def loader(replicas):
        return DataLoader(data, sampler=DistributedSampler(data, replicas, rank=0, shuffle=False))

    with pytest.warns(NonDeterministicWarning, match="repeats 1 of 20 samples"):
        list(feature_batches(Net().eval(), loader(3)))
    list(feature_batches(Net().eval(), loader(4)))


def test_what_users_see_of_subsets_and_workers(data):
    model = Net().eval()
    shard = Subset(data, range(1, N, 2))
    got = gathered(feature_batches(model, DataLoader(shard, batch_size=4, num_workers=1)))
    assert torch.equal(got[1], data.tensors[1][1::2])


def test_numpy_labels_of_another_size_are_integers():
    (got,) = feature_batches(Net().eval(), [(x, np.array([0, 1, 2, 0], dtype=np.int16))])
    assert got.labels.dtype == torch.int64
