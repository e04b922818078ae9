"""HardMax in (W, H): its best features for a given W, and that its joint optimum is the softmax code."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from neucollapse import InputError
from neucollapse.geometry import SoftmaxCode, best_features, hard_max, icosahedron, one_vs_rest, solve


def random_rows(K, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(K, d, generator=generator, dtype=torch.float64), dim=1)


def slow_hard_max(W, H):
    K = len(W)
    return min(float((W[k] - W[j]) @ H[k]) for k in range(K) for j in range(K) if j != k)


@pytest.mark.parametrize(("K", "d"), [(4, 3), (7, 5), (12, 8)])
def test_best_features_reach_the_margin_and_no_others_more(K, d):
    W = random_rows(K, d)
    H = best_features(W)
    assert hard_max(W, H) == pytest.approx(slow_hard_max(W, H), abs=1e-15)
    assert hard_max(W, H) == pytest.approx(one_vs_rest(W).margin, abs=1e-12)
    for seed in range(20):
        near = torch.nn.functional.normalize(H + 10.0 ** -(seed % 5) * random_rows(K, d, seed + 1), dim=1)
        assert hard_max(W, near) <= hard_max(W, H) + 1e-12


def test_a_spherical_code_is_its_own_best_features():
    torch.testing.assert_close(best_features(icosahedron()), icosahedron(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("K", "d"), [(7, 3), (9, 4)])
def test_the_joint_optimum_is_the_softmax_code(K, d):
    # W and H free, nothing known of hulls: L-BFGS on ever sharper minima of the logit gaps.
    def loss(x, p):
        parameters = torch.tensor(x, requires_grad=True)
        W, H = torch.nn.functional.normalize(parameters.reshape(2, K, d), dim=2)
        logits = H @ W.T
        gaps = (logits.diagonal()[:, None] - logits)[~torch.eye(K, dtype=torch.bool)]
        value = torch.logsumexp(-p * gaps, 0) / p
        value.backward()
        return float(value.detach()), parameters.grad.numpy()

    reached = []
    for seed in range(8):
        x = np.random.default_rng(seed).standard_normal(2 * K * d)
        for p in (4.0, 20.0, 100.0, 500.0, 2500.0, 12500.0):
            x = minimize(loss, x, args=(p,), jac=True, method="L-BFGS-B", options={"maxiter": 400}).x
        reached.append(hard_max(*torch.tensor(x).reshape(2, K, d)))
    best = solve(SoftmaxCode(K, d), starts=16, workers=1, progress=False).value
    assert max(reached) <= best + 1e-12
    assert max(reached) == pytest.approx(best, abs=1e-3)


def test_wrong_requests_are_refused():
    with pytest.raises(InputError, match="class 0 is inside"):
        best_features([[1.0, 0.0], [1.0, 1e-9], [1.0, -1e-9]])
    with pytest.raises(InputError, match="one feature for each class"):
        hard_max(torch.eye(3), torch.eye(4))
