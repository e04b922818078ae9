"""Class-mean features: the rule from loops, and two ranks that move the rows as one process does."""

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from neucollapse import InputError
from neucollapse.heads import ClassMeanFeatures, SubCentre
from neucollapse.losses import CrossEntropy, NormFace

D, K = 5, 4


def batches(count=3, samples=17):
    """Batches without the last class, and with classes of unequal size."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        labels = torch.randint(K - 1, (samples,), generator=generator)
        yield torch.randn(samples, D, generator=generator) + 3 * torch.eye(K, D)[labels], labels


def naive(momentum, batch):
    """The rule, class by class and sample by sample, in float64."""
    W = torch.zeros(K, D, dtype=torch.float64)
    for x, y in batches():
        for k in range(K):
            members = [x[i].double() / x[i].double().norm() for i in range(len(x)) if y[i] == k]
            if members:
                h = sum(members) / (len(members) if batch == "mean" else 1)
                w = momentum * W[k] + (1 - momentum) * h
                W[k] = w / w.norm()
    return W


@pytest.mark.parametrize("batch", ["mean", "sum"])
@pytest.mark.parametrize("momentum", [0, 0.9])
def test_the_rule(momentum, batch):
    head = ClassMeanFeatures(D, K, momentum=momentum, batch=batch)
    for x, y in batches():
        head.update(x, y)
    torch.testing.assert_close(head.weight, naive(momentum, batch).float())


def test_the_two_rules_differ():
    assert (naive(0.9, "mean") - naive(0.9, "sum")).abs().max() > 0.01


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_absent_classes_keep_their_row_and_new_ones_take_the_first_mean(momentum):
    head = ClassMeanFeatures(2, 3, momentum=momentum)
    head.update(torch.tensor([[0.0, 7.0]]), torch.tensor([1]))
    assert head.weight.tolist() == [[0, 0], [0, 1], [0, 0]]
    head.update(torch.tensor([[3.0, 0.0]]), torch.tensor([0]))
    assert head.weight.tolist() == [[1, 0], [0, 1], [0, 0]]
    head.update(torch.empty(0, 2), torch.empty(0, dtype=torch.int64))
    assert head.weight.tolist() == [[1, 0], [0, 1], [0, 0]]


def test_no_gradient_flows_and_training_goes_on():
    head = ClassMeanFeatures(D, K)
    weight = head.weight
    for x, y in batches():
        x.requires_grad_()
        head.update(x, y)
        NormFace()(x, y, head).backward()
        assert x.grad.isfinite().all()
        assert x.grad.abs().sum() > 0
    assert head.weight is weight  # in place: wrappers for several processes hold on to it
    assert not head.weight.requires_grad


def test_forward_moves_nothing():
    head = ClassMeanFeatures(D, K)
    head.update(*next(iter(batches())))
    before = head.weight.clone()
    CrossEntropy()(torch.randn(3, D), torch.arange(3), head.train())
    assert torch.equal(head.weight, before)


def test_ignored_samples_and_token_shapes():
    x, y = next(iter(batches(samples=18)))
    whole, part = ClassMeanFeatures(D, K), ClassMeanFeatures(D, K)
    whole.update(x[:12], y[:12])
    x[12:], y[12:] = torch.nan, -100
    part.update(x.reshape(3, 6, D), y.reshape(3, 6))
    assert torch.equal(part.weight, whole.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_every_type(dtype):
    x, y = next(iter(batches()))
    head, single = ClassMeanFeatures(D, K), ClassMeanFeatures(D, K)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        head.update(x.to(dtype), y)
    single.update(x.to(dtype).float(), y)
    torch.testing.assert_close(head.weight, single.weight)


def test_class_means_of_collapsed_features_are_the_features():
    directions = torch.nn.functional.normalize(torch.randn(K, D), dim=1)
    head = ClassMeanFeatures(D, K, scale=64.0)
    for _ in range(50):
        head.update(5 * directions.repeat(3, 1), torch.arange(K).repeat(3))
    torch.testing.assert_close(head.weight, directions)


def shares(x, y):
    """Unequal shares of a batch; the second rank has none of the last one."""
    return (x[:12], y[:12]), (x[12:], y[12:])


def run_rank(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    head, centres = make_heads()
    for x, y in [*batches(), *batches(1, samples=12)]:
        for each in (head, centres):
            each.update(*shares(x, y)[rank])
    torch.save([head.state_dict(), centres.state_dict()], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def make_heads():
    torch.manual_seed(1)
    return ClassMeanFeatures(D, K), SubCentre(D, K)


@pytest.mark.slow
def test_two_ranks_are_one_process(tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    torch.multiprocessing.spawn(run_rank, (port, tmp_path), nprocs=2)
    head, centres = make_heads()
    for x, y in [*batches(), *batches(1, samples=12)]:
        for each in (head, centres):
            each.update(x, y)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for mine, first, second in zip((head.state_dict(), centres.state_dict()), *ranks, strict=True):
        for name, tensor in mine.items():
            torch.testing.assert_close(first[name], tensor)
            assert torch.equal(first[name], second[name])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ClassMeanFeatures(D, K, momentum=1.0), "momentum from 0 to below 1, got 1"),
        (lambda: ClassMeanFeatures(D, K, batch="last"), "'last'"),
        (lambda: ClassMeanFeatures(D, K).update(torch.randn(2, 3), torch.tensor([0, 1])), r"\(\.\.\., 5\), got"),
        (lambda: ClassMeanFeatures(D, K).update(torch.randn(2, D), torch.tensor([0, K])), "from 0 to 3"),
        (lambda: ClassMeanFeatures(D, K).update(torch.ones(2, D).long(), torch.tensor([0, 1])), "floating features"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
