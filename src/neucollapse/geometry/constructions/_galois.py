"""Finite fields by tables: what quadrics, Kerdock sets and Gold sequences are made of."""

from dataclasses import dataclass
from functools import cache, reduce
from itertools import product

import numpy as np

from ..._errors import InputError


@dataclass(frozen=True, eq=False)
class GaloisField:
    """The field of q = p^k elements, numbered 0..q-1: the base-p digits of a number are the coefficients of a polynomial.

    Attributes:
        p: the characteristic, a prime.
        k: the degree over the prime field.
        powers: (q-1,) the powers 1, g, g^2, ... of a primitive element g (the number p for k > 1).
        logarithms: (q,) the inverse of `powers`; 0 at the element 0, which has none.
        digits: (q, k) the coefficients of each element.
    """

    p: int
    k: int
    powers: np.ndarray
    logarithms: np.ndarray
    digits: np.ndarray

    @property
    def q(self) -> int:
        """Number of elements."""
        return self.p**self.k

    def multiply(self, a: np.ndarray | int, b: np.ndarray) -> np.ndarray:
        """Products, element by element, with broadcasting."""
        products = self.powers[(self.logarithms[a] + self.logarithms[b]) % (self.q - 1)]
        return np.where((a == 0) | (b == 0), 0, products)

    def power(self, a: np.ndarray, exponent: int) -> np.ndarray:
        """`a^exponent` for a positive exponent."""
        return np.where(a == 0, 0, self.powers[self.logarithms[a] * exponent % (self.q - 1)])

    def add(self, *terms: np.ndarray) -> np.ndarray:
        """Sums, element by element, with broadcasting."""
        if self.p == 2:
            return reduce(np.bitwise_xor, terms)
        return self._number(reduce(np.add, (self.digits[term] for term in terms)))

    def subtract(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Differences, element by element, with broadcasting."""
        return self._number(self.digits[a] - self.digits[b])

    def trace(self, a: np.ndarray) -> np.ndarray:
        """The absolute trace `a + a^p + ... + a^(p^(k-1))`, a number in 0..p-1."""
        return self.add(*(self.power(a, self.p**i) for i in range(self.k)))

    def _number(self, digits: np.ndarray) -> np.ndarray:
        return digits % self.p @ self.p ** np.arange(self.k)


@cache
def galois_field(q: int) -> GaloisField:
    """The field of q elements, for a prime power q.

    Raises:
        InputError: if q is not a prime power.
    """
    found = prime_power(q)
    if found is None:
        raise InputError(f"expected the size of a finite field, a prime power, got {q}")
    p, k = found
    candidates = product(range(1, p), *[range(p)] * (k - 1))  # with a constant term, or x would divide x^k
    orbits = (_powers(p, low) for low in candidates)
    powers = next(powers for powers in orbits if len(powers) == q - 1)  # every field has a primitive element
    digits = np.arange(q)[:, None] // p ** np.arange(k) % p
    numbers = np.array(powers) @ p ** np.arange(k)
    logarithms = np.zeros(q, dtype=np.int64)
    logarithms[numbers] = np.arange(q - 1)
    return GaloisField(p, k, numbers, logarithms, digits)


def prime_power(q: int) -> tuple[int, int] | None:
    """The prime p and the exponent k >= 1 of q = p^k, if there are such."""
    p = next((p for p in range(2, q + 1) if q % p == 0), 0)
    return next(((p, k) for k in range(1, q.bit_length()) if p**k == q), None)


def _powers(p: int, low: tuple[int, ...]) -> list[tuple[int, ...]]:
    """1, x, x^2, ... up to the first return, where x^k is the polynomial `low`: q-1 of them if x is primitive."""
    one = tuple(int(i == 0) for i in range(len(low)))
    powers, x = [one], one
    for _ in range(p ** len(low)):
        top = x[-1]
        x = tuple((below + top * c) % p for below, c in zip((0, *x[:-1]), low, strict=True))
        if x == one:
            break
        powers.append(x)
    return powers
