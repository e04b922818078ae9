"""The quick inverse says nothing where the decomposition would say something else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neucollapse.metrics._linear_algebra import inverse_gram, singular_values, spectrum


def inverted(rows, noise):
    return inverse_gram(rows.T @ rows, len(rows), noise)


def rotation(d, generator):
    return torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q


def drawn(seed, d, extra, decades, scatter_decades):
    """Centred rows whose spreads differ by decades, and a scatter along the same directions or others."""
    generator = torch.Generator().manual_seed(seed)
    Q = rotation(d, generator)
    spreads = 10 ** (-decades * torch.rand(d, generator=generator, dtype=torch.float64))
    rows = torch.randn(d + extra, d, generator=generator, dtype=torch.float64) * spreads @ Q.T
    other = Q if seed % 2 else rotation(d, generator)
    shares = 10 ** (-scatter_decades * torch.rand(d, generator=generator, dtype=torch.float64))
    return rows - rows.mean(0), other * shares @ other.T


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 40), st.floats(0, 8), st.floats(0, 20))
def test_a_trace_through_the_inverse_is_that_of_the_decomposition(seed, d, extra, decades, scatter_decades):
    rows, scatter = drawn(seed, d, extra, decades, scatter_decades)
    inverse = inverted(rows, 0.0)
    value = inverse.trace_with(scatter) if inverse else None
    if value is not None:
        s, V = spectrum(rows)
        assert value == pytest.approx(float((((scatter @ V) * V).sum(0) / s**2).sum()), rel=1e-9)


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(-6, 12), st.floats(0, 8))
def test_values_without_vectors_are_those_of_an_svd(seed, d, extra, decades):
    rows, _ = drawn(seed, d, max(extra, 2 - d), decades, 0)
    exact, found = torch.linalg.svdvals(rows), singular_values(rows)
    assert found.tolist() == pytest.approx(exact.tolist(), rel=1e-9, abs=1e-13 * float(exact[0]))
    assert found.tolist() == pytest.approx(
        spectrum(rows, rows.T @ rows)[0].tolist(), rel=1e-9, abs=1e-13 * float(exact[0])
    )


def test_ordinary_rows_are_inverted_at_once():
    rows, scatter = drawn(seed=0, d=20, extra=60, decades=0.3, scatter_decades=1)
    inverse = inverted(rows, 0.0)
    assert inverse is not None
    assert inverse.trace_with(scatter) is not None
    assert inverse.trace_with(torch.zeros_like(scatter)) == 0


def test_rows_narrow_along_a_direction_are_not_inverted():
    rows, _ = drawn(seed=0, d=6, extra=30, decades=0.3, scatter_decades=1)
    smallest = float(spectrum(rows)[0].min())
    assert inverted(rows, smallest / 10) is not None
    assert inverted(rows, smallest * 1.001) is None
    assert inverted(rows[:6], 0.0) is None
    assert inverted(rows * torch.tensor([1.0] * 5 + [1e-16]).double(), 0.0) is None
    assert inverted(rows * torch.tensor([1.0] * 5 + [0.0]).double(), 0.0) is None


def test_a_scatter_along_wide_directions_alone_goes_through_the_decomposition():
    rows = torch.cat([torch.eye(2), -torch.eye(2)]).double() * torch.tensor([1.0, 1e-4]).double()
    inverse = inverted(rows @ torch.tensor([[0.6, 0.8], [-0.8, 0.6]]).double(), 0.0)
    wide = torch.tensor([0.6, 0.8]).double()
    assert inverse.trace_with(torch.outer(wide, wide)) is None
