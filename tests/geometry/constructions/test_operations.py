"""Operations keep the cosines they say they keep."""

import pytest
import torch

from neucollapse import InputError
from neucollapse.geometry import coherence, max_cosine, orthoplex, simplex
from neucollapse.geometry.constructions import antipodal, direct_sum, e7_roots, halves, mclaughlin, pad, paley_lines


def test_pad():
    code = pad(mclaughlin(), 30)
    assert code.shape == (275, 30)
    assert torch.equal(code[:, 22:], torch.zeros(275, 8, dtype=torch.float64))
    torch.testing.assert_close(code @ code.T, mclaughlin() @ mclaughlin().T, rtol=0, atol=1e-14)


def test_antipodal_and_halves_undo_each_other():
    lines = paley_lines(13)
    code = antipodal(lines)
    assert len(code) == 28
    assert abs(max_cosine(code) - coherence(lines)) < 1e-14
    generator = torch.Generator().manual_seed(0)
    mixed = code[torch.randperm(28, generator=generator)]
    back = halves(mixed)
    assert len(back) == 14
    cosines = (back @ lines.T).abs()
    torch.testing.assert_close(cosines.amax(dim=0), torch.ones(14, dtype=torch.float64), rtol=0, atol=1e-14)
    assert len(halves(e7_roots())) == 63


def test_direct_sum():
    code = direct_sum(simplex(3), orthoplex(6, 3), e7_roots())
    assert code.shape == (3 + 6 + 126, 2 + 3 + 7)
    assert abs(max_cosine(code) - 0.5) < 1e-14
    assert abs(max_cosine(direct_sum(simplex(4), simplex(9)))) < 1e-15
    torch.testing.assert_close(direct_sum(simplex(4)), simplex(4), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pad(simplex(4), 2), "d .* >= 3, got 2"),
        (lambda: halves(simplex(4)), "antipodal"),
        (lambda: halves([[1.0, 0.0], [0.0, -1.0]]), "antipodal"),  # half of them positive, and no pair
        (lambda: direct_sum(), "at least one code"),
    ],
)
def test_impossible_requests(call, said):
    with pytest.raises(InputError, match=said):
        call()
