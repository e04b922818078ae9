"""The spectrum through deflated Gram matrices against matrices of known singular values, and against LAPACK's SVD."""

import pytest
import torch

from neucollapse.metrics._linear_algebra import spectrum


def orthogonal(n, k, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(n, k, generator=generator, dtype=torch.float64)).Q


@pytest.mark.parametrize(("K", "d"), [(60, 40), (40, 60), (50, 50), (3, 1)])
@pytest.mark.parametrize("decades", [0, 3, 8, 14])
@pytest.mark.parametrize("scale", [1.0, 1e-100])
def test_graded_singular_values(K, d, decades, scale):
    r = min(K, d)
    s = scale * torch.logspace(0, -decades, r, dtype=torch.float64)
    rows = orthogonal(K, r, 0) * s @ orthogonal(d, r, 1).T
    found, V = spectrum(rows)
    # What LAPACK promises: an error of rounding against the largest, whatever the size of the value itself.
    assert float((found - s).abs().max()) <= 1e-14 * scale
    torch.testing.assert_close(V.T @ V, torch.eye(r, dtype=torch.float64), rtol=0, atol=1e-13)
    torch.testing.assert_close(torch.linalg.vector_norm(rows @ V, dim=0), found, rtol=1e-12, atol=1e-15 * scale)
    torch.testing.assert_close(rows @ V @ V.T, rows, rtol=0, atol=1e-14 * scale)
    if decades == 8:  # squaring once would leave 1e-16 / 1e-16: no digit of the smallest
        assert float(((found - s).abs() / s).max()) <= 1e-7


def test_dependent_rows_and_zero_rows():
    rows = torch.zeros(7, 5, dtype=torch.float64)
    s, V = spectrum(rows)
    assert s.tolist() == [0.0] * 5
    torch.testing.assert_close(V.T @ V, torch.eye(5, dtype=torch.float64))
    rows[:, 0] = 1.0
    s, _ = spectrum(rows)
    torch.testing.assert_close(s, torch.tensor([7**0.5, 0, 0, 0, 0], dtype=torch.float64), rtol=1e-14, atol=1e-15)
