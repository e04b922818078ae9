"""Lengths, directions and tangential gradients of rows: torch and compiled code against the formula, at any length."""

import pytest
import torch

from neucollapse.losses import _row_work, _statistics, _tiles, spherical_ce
from neucollapse.losses._row_work import RowWork, _CompiledRowWork, row_work

SIZES = {torch.float32: [0, -66, -116, -136, 60, 100], torch.float64: [0, -1000, 600]}  # powers of two


def workers(weight: torch.Tensor, lengths: torch.Tensor) -> list[RowWork]:
    return [RowWork(weight, lengths), _CompiledRowWork(weight, lengths)]


@pytest.mark.parametrize(("dtype", "exponent"), [(dtype, e) for dtype, powers in SIZES.items() for e in powers])
def test_lengths_and_directions(dtype, exponent):
    weight = (torch.randn(7, 5, dtype=torch.float64) * 2.0**exponent).to(dtype)
    weight[3] = 0
    exact = weight.double() * 2.0**-exponent  # no square leaves the range
    norms = exact.norm(dim=1, keepdim=True)
    units = exact / norms.where(norms > 0, 1)
    rounding = 8 * torch.finfo(dtype).eps
    lengths = torch.empty(7, 1, dtype=dtype)
    for work in workers(weight, lengths):
        total, first, again = torch.ones(5, dtype=dtype), torch.empty_like(weight), torch.empty(4, 5, dtype=dtype)
        lengths.fill_(torch.nan)
        work.begin(0, 7, first, total)
        work.directions(3, 7, again)
        torch.testing.assert_close(again, first[3:], rtol=0, atol=0)
        torch.testing.assert_close(first.double(), units, rtol=rounding, atol=rounding)
        torch.testing.assert_close(total.double(), 1 + units.sum(dim=0), rtol=10 * rounding, atol=10 * rounding)
        smallest = 2.0 ** -(149 + exponent) if dtype == torch.float32 else 0.0  # lengths may be subnormal themselves
        torch.testing.assert_close(lengths.double() * 2.0**-exponent, norms, rtol=rounding, atol=smallest)
        assert lengths[3] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_of_rows_are_those_of_autograd(dtype):
    weight = torch.randn(6, 4, dtype=dtype).requires_grad_()
    given = torch.randn(6, 4, dtype=dtype)
    units = weight / weight.norm(dim=1, keepdim=True)
    (expected,) = torch.autograd.grad(units, weight, given)
    lengths = weight.detach().norm(dim=1, keepdim=True)
    lengths[2], expected[2] = 0, 0  # a zero row has no direction to turn
    for work in workers(weight.detach(), lengths):
        G = given.clone()
        work.to_tangent(0, 6, G, units.detach())
        torch.testing.assert_close(G, expected, rtol=20 * torch.finfo(dtype).eps, atol=20 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("kind", [RowWork, _CompiledRowWork])
def test_what_is_not_a_number_stays_so(kind):
    weight = torch.ones(3, 4)
    weight[1, 2] = torch.nan
    lengths, out, total = torch.empty(3, 1), torch.empty(3, 4), torch.zeros(4)
    kind(weight, lengths).begin(0, 3, out, total)
    assert lengths[1].isnan()
    assert out[1].isnan().any()
    assert out[[0, 2]].isfinite().all()


@pytest.fixture(params=[(40, 300), (7, 11)], ids=["one-tile", "many-tiles"])  # the many do not come out even
def compiled_tiles(request, monkeypatch):
    monkeypatch.setattr(_row_work, "_COMPILED_FROM", 0)
    monkeypatch.setattr(_statistics, "tile_shape", lambda *_: request.param)
    monkeypatch.setattr(_tiles, "_ROW_ELEMENTS", 6 * 3 * request.param[1])  # three tiles of gradients together
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")  # own exponentials


def loss_and_gradients(implementation, x, weight, y, scale, smoothing):
    loss = spherical_ce(x, y, weight, scale=scale, smoothing=smoothing, implementation=implementation)
    return (loss.detach(), *torch.autograd.grad(loss, (x, weight)))


# scales without and with a running maximum
@pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 16.0), (torch.float64, 16.0), (torch.float64, 1000.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_by_compiled_code_are_those_of_the_reference(dtype, scale, smoothing, compiled_tiles):
    x = torch.randn(40, 6, dtype=dtype).requires_grad_()
    weight = torch.randn(300, 6, dtype=dtype).requires_grad_()
    assert isinstance(row_work(weight, torch.empty(300, 1, dtype=dtype)), _CompiledRowWork)
    y = torch.randint(300, (40,))
    tiled, reference = (loss_and_gradients(how, x, weight, y, scale, smoothing) for how in ("tiled", "reference"))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-5
    for mine, other in zip(tiled, reference, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=0.1 * tolerance)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_large_scale_in_single_precision_is_as_near_the_truth_as_the_reference(smoothing, compiled_tiles):
    x, weight, y = torch.randn(40, 6), torch.randn(300, 6), torch.randint(300, (40,))
    single, double = ([t.to(dtype).requires_grad_() for t in (x, weight)] for dtype in (torch.float32, torch.float64))
    truth = loss_and_gradients("reference", *double, y, 100.0, smoothing)
    tiled, reference = (loss_and_gradients(how, *single, y, 100.0, smoothing) for how in ("tiled", "reference"))
    for mine, other, exact in zip(tiled, reference, truth, strict=True):
        unit = torch.finfo(torch.float32).eps * float(exact.abs().max())
        assert float((mine - exact).abs().max()) <= 4 * float((other - exact).abs().max()) + 4 * unit


def test_few_rows_strided_rows_and_half_precision_are_left_to_torch():
    def kind(weight: torch.Tensor) -> type:
        return type(row_work(weight, torch.empty(len(weight), 1, dtype=weight.dtype)))

    assert kind(torch.zeros(10, 4)) is RowWork
    assert kind(torch.zeros(2**20, 4)) is _CompiledRowWork
    assert kind(torch.zeros(4, 2**20).T) is RowWork
    assert kind(torch.zeros(2**20, 4, dtype=torch.bfloat16)) is RowWork


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exponentials(dtype, monkeypatch):
    z = torch.linspace(-87.2, 80, 100_001, dtype=dtype)[None].repeat(2, 1)
    z[0, -1] = 88
    z[1, :4] = torch.tensor([-torch.inf, -90.0, torch.nan, 0.0])
    exact = z.double().exp()
    weight, lengths = torch.ones(2, 2, dtype=dtype), torch.ones(2, 1, dtype=dtype)
    for capability in ("AVX2", "AVX512"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda value=capability: value)
        for work in workers(weight, lengths):
            for tile in (z.clone(), z.clone()[:, 1:]):  # whole, and with rows apart
                total = torch.tensor([1.0, 2.0], dtype=dtype)
                found = work.exponentials(tile, total)
                assert found.data_ptr() == tile.data_ptr()
                expected = exact[:, -tile.shape[1] :]
                sums = expected.sum(dim=1) + torch.tensor([1.0, 2.0])
                torch.testing.assert_close(
                    total.double(), sums, rtol=1e-4 if dtype == torch.float32 else 1e-12, atol=0, equal_nan=True
                )
                rounding = torch.finfo(dtype).eps
                torch.testing.assert_close(
                    found.double(), expected, rtol=2 * rounding, atol=torch.finfo(dtype).tiny, equal_nan=True
                )
