"""How wrong are float32 gradients of the cosine cross-entropy in the terminal phase: ours and torch's, in one run.

Features and weights lie at a relative distance ``noise`` of a code's rows (the simplex, or random directions), for
K = 100, d = 128. Both losses see the same float32 inputs; the error is Frobenius, relative to ours in float64.

    python benchmarks/terminal_phase.py        writes benchmarks/results/terminal_phase.json
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from neucollapse._environment import command_line, environment
from neucollapse._files import write_json
from neucollapse.losses import cosine_logits, cross_entropy

K, D, SAMPLES, SEED = 100, 128, 512, 0
SCALES = (5.0, 8.0, 16.0, 20.0, 25.0, 32.0, 48.0, 64.0)
NOISES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
OUT = Path(__file__).parent / "results" / "terminal_phase.json"


def codes(generator: torch.Generator) -> dict[str, Tensor]:
    """Unit rows (K, d) in float64: a simplex in general position, and random directions."""
    M = torch.eye(K, dtype=torch.float64) - 1 / K
    rotation = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64)).Q
    random = torch.randn(K, D, generator=generator, dtype=torch.float64)
    return {
        name: code / code.norm(dim=1, keepdim=True)
        for name, code in (("simplex", M @ rotation[:K]), ("random", random))
    }


def inputs(code: Tensor, noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Float32 features (n, d), weights (K, d) and labels (n,) at relative distance ``noise`` of the code."""

    def jitter(n: int) -> Tensor:
        return noise * torch.randn(n, D, generator=generator, dtype=torch.float64) / math.sqrt(D)

    labels = torch.randint(K, (SAMPLES,), generator=generator)
    return (code[labels] + jitter(SAMPLES)).float(), (code + jitter(K)).float(), labels


def evaluate(loss, x: Tensor, W: Tensor, y: Tensor, scale: float) -> tuple[float, Tensor, Tensor]:
    """Loss and its gradients in x and W, in the dtype of x."""
    leaves = x.clone().requires_grad_(), W.clone().requires_grad_()
    value = loss(cosine_logits(*leaves, scale), y)
    return value.item(), *torch.autograd.grad(value, leaves)


def row(name: str, code: Tensor, noise: float, scale: float, generator: torch.Generator) -> dict[str, float | str]:
    x, W, y = inputs(code, noise, generator)
    exact_loss, exact_x, exact_W = evaluate(cross_entropy, x.double(), W.double(), y, scale)
    found: dict[str, float | str] = {"code": name, "noise": noise, "scale": scale, "loss_float64": exact_loss}
    for key, loss in (("neucollapse", cross_entropy), ("torch", F.cross_entropy)):
        value, gradient_x, gradient_W = evaluate(loss, x, W, y, scale)
        found[f"{key}_loss"] = value
        found[f"{key}_error_x"] = ((gradient_x.double() - exact_x).norm() / exact_x.norm()).item()
        found[f"{key}_error_W"] = ((gradient_W.double() - exact_W).norm() / exact_W.norm()).item()
    return found


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    rows = [
        row(name, code, noise, scale, generator)
        for name, code in codes(generator).items()
        for noise in NOISES
        for scale in SCALES
    ]
    settings = {"K": K, "d": D, "samples": SAMPLES, "dtype": "float32", "seed": SEED, "command": command_line()}
    write_json(OUT, {**settings, "environment": environment(), "rows": rows}, schema="neucollapse/benchmark/1")
    errors = [f"{peer}_error_{leaf}" for peer in ("neucollapse", "torch") for leaf in "xW"]
    columns = ["code", "noise", "scale", "loss_float64", *errors]
    print(" ".join(f"{c:>19}" for c in columns))
    for found in rows:
        print(" ".join(f"{v:>19.2g}" if isinstance(v := found[c], float) else f"{v:>19}" for c in columns))


if __name__ == "__main__":
    main()
