"""Local elasticity of real training: how strongly samples pull their own class, and how strongly the others.

Two ways that know nothing of each other: a fit to the trajectory of class means (`elastic_strengths`), and the average of
the neural tangent kernel over pairs of classes (`kernel_strengths`), which is what the strengths are for small steps.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..._errors import InputError
from .ode import Drift, pulls


class ElasticStrengths(NamedTuple):
    """Strengths over time.

    Attributes:
        times: middle of each window.
        intra: alpha, with which a sample pulls its own class.
        inter: beta, with which it pulls each other class.
        explained: share of the squared movement of class means that the two numbers explain, in (-inf, 1].
    """

    times: Tensor
    intra: Tensor
    inter: Tensor
    explained: Tensor


def elastic_strengths(
    means: Tensor, times: Tensor, pulled: Tensor | Drift = "features", window: int = 1
) -> ElasticStrengths:
    r"""Fit the two strengths to a trajectory of class means, window by window.

    Least squares over classes and coordinates of

    $$\bar x_k(t') - \bar x_k(t) \approx \frac{t' - t}{K} \Big(\alpha D_k + \beta \sum_{l \ne k} D_l\Big),$$

    with D the mean of its values at both ends: of second order in the time between two records.

    Args:
        means: class means (T, K, d) of features or logits, classes alike in size.
        times: of them (T,), increasing: steps times learning rate.
        pulled: D. "features" (class means themselves) and "labels" (their part along the label) are the drifts of LE-SDE; a
            tensor (T, K, d) is D itself. For logits under cross-entropy, class means of the residuals e_y - p make the
            strengths averages of the neural tangent kernel.
        window: intervals that share two numbers.

    Returns:
        Strengths of every whole window. Where D does not tell the two apart, those of least norm.

    Raises:
        InputError: for shapes that do not fit, times that do not increase, or a window that is too long.

    Examples:
        >>> times = torch.linspace(0, 1, 101).double()
        >>> means = torch.exp(times / 2)[:, None, None] * torch.eye(2).double()  # alpha = 1, beta = 0
        >>> found = elastic_strengths(means, times, window=100)
        >>> [round(float(x), 4) for x in (found.intra, found.inter, found.explained)]
        [1.0, 0.0, 1.0]
    """
    means, times = means.detach().double(), times.detach().double()
    if means.dim() != 3 or times.shape != means.shape[:1]:
        raise InputError(f"expected means (T, K, d) and times (T,), got {tuple(means.shape)} and {tuple(times.shape)}")
    if not bool(times.diff().gt(0).all()):
        raise InputError("expected times that increase")
    if not 1 <= window < len(times):
        raise InputError(f"expected a window from 1 to {len(times) - 1} intervals, got {window}")
    D = pulls(means, pulled) if isinstance(pulled, str) else pulled.detach().double()
    if D.shape != means.shape:
        raise InputError(f"expected what pulls to be {tuple(means.shape)} as the means, got {tuple(D.shape)}")
    own = times.diff()[:, None, None] * (D[1:] + D[:-1]) / (2 * means.shape[1])
    design = torch.stack([own, own.sum(dim=1, keepdim=True) - own], dim=-1)
    count = (len(times) - 1) // window
    columns = design[: count * window].reshape(count, -1, 2)
    moved = means.diff(dim=0)[: count * window].reshape(count, -1, 1)
    solution = torch.linalg.lstsq(columns, moved, driver="gelsd").solution
    left = (moved - columns @ solution).square().sum(dim=(1, 2))
    ends = times[: count * window + 1 : window]
    explained = 1 - left / moved.square().sum(dim=(1, 2))
    return ElasticStrengths((ends[1:] + ends[:-1]) / 2, solution[:, 0, 0], solution[:, 1, 0], explained)


def kernel_strengths(network: nn.Module, inputs: Tensor, labels: Tensor, K: int) -> Tensor:
    r"""Averages (K, K) of the neural tangent kernel over pairs of classes, and over outputs.

    $$E_{kl} = \frac{1}{m} \sum_{c=1}^{m} \Big\langle \nabla_\theta \operatorname*{mean}_{i \in k} f_c(x_i),\;
    \nabla_\theta \operatorname*{mean}_{j \in l} f_c(x_j) \Big\rangle$$

    for a network with m outputs, by m K backward passes. Its diagonal is the intra strength of each class, all else inter.

    Args:
        network: maps inputs to (N, m); all parameters that require a gradient count.
        inputs: (N, ...).
        labels: (N,), with every class of 0 ... K-1.
        K: number of classes.

    Raises:
        InputError: if a class is empty.

    Examples:
        >>> linear = nn.Linear(2, 3, bias=False)
        >>> kernel_strengths(linear, torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1]), 2).tolist()
        [[1.0, 1.0], [1.0, 2.0]]
    """
    counts = torch.bincount(labels, minlength=K)
    if bool(counts[:K].eq(0).any()):
        raise InputError(f"expected samples of all {K} classes; class {int(counts[:K].argmin())} has none")
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    outputs = network(inputs)
    means = torch.stack([outputs[labels == k].mean(dim=0) for k in range(K)])
    total = means.new_zeros(K, K)
    for column in means.T:
        grads = [torch.autograd.grad(x, parameters, retain_graph=True, allow_unused=True) for x in column]
        rows = [torch.cat([part.reshape(-1) for part in parts if part is not None]) for parts in grads]
        total += torch.stack(rows) @ torch.stack(rows).T
    return total.detach() / means.shape[1]
