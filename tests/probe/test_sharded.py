"""Models whose weights lie in parts on several ranks: the numbers of the whole model, on two real gloo ranks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

X, Y = torch.randn(60, 8, generator=torch.Generator().manual_seed(1)), torch.arange(60) % 3


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).eval()


def sharded(mesh):
    """The ways in which the parts lie; of a model of which every rank has the same data, one rank's rows are counted."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    root, layers, columns = model(), model(), model()
    fully_shard(root, mesh=mesh)
    for layer in (layers[0], layers[2], layers):
        fully_shard(layer, mesh=mesh)
    from torch.distributed.tensor import Replicate

    parallelize_module(columns, mesh, {"2": ColwiseParallel(output_layouts=Replicate())})
    return {"root": root, "layers": layers, "columns": columns}


def on_a_rank(rank, ranks, folder):
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    import neucollapse as nc

    torch.set_num_threads(1)
    plain = model()
    with torch.no_grad():
        pair = plain[:2](X), Y
    few = {"preset": "papyan2020", "optimum": None, "progress": False}
    alone = nc.measure(pair, weight=plain[2].weight, bias=plain[2].bias, **few)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    try:
        for kind, net in sharded(init_device_mesh("cpu", (ranks,))).items():
            rows = (
                slice(None) if kind == "columns" else slice(rank, None, ranks)
            )  # counting each twice is no other mean
            for named in (None, "2"):
                assert torch.equal(nc.probe.find_classifier(net, name=named or "2").weight, plain[2].weight)
                result = nc.measure(net, [(X[rows], Y[rows])], classifier=named, layers=["0"], **few)
                assert result.arrays["weight"].equal(plain[2].weight.detach().double())
                assert not [flag for flag in result.flags if flag.code == "classifier_differs"]
                for key, value in alone.items():
                    assert abs(result[key] - value) <= 1e-5 * max(1, abs(value)), (kind, named, key)
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_measure_a_sharded_model(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True, env=environment
        )
        for rank in range(2)
    ]
    errors = [process.communicate()[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(errors)


if __name__ == "__main__":
    on_a_rank(int(sys.argv[1]), 2, Path(sys.argv[2]))
