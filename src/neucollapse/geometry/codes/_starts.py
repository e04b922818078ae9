"""Where searches begin: random points, points with a symmetry, and a good code with a few points moved.

Good codes often have symmetries that random starts find late or never; descent keeps those of its start.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from ._descent import ABSOLUTE, cosines, normalise

_CROWD = 150  # points of space beyond which random starts find nothing good
_GROUPS = "T", "O", "I", "D2", "D3", "D4", "D5", "D6"


def fresh(K: int, d: int, rng: np.random.Generator, place: int) -> np.ndarray:
    """Start number `place` (K, d): two of three random, the others cyclic or harmonic."""
    makers = [_random, _random, _cyclic, _random, _harmonic, _random]
    if d == 3 and K > _CROWD:
        makers = [_random, _polyhedral, _cyclic, _polyhedral, _polyhedral, _polyhedral]
    U = makers[place % len(makers)](K, d, rng)
    return normalise(U + 1e-6 * rng.standard_normal(U.shape))  # no two points coincide, and no saddle is met exactly


def hop(U: np.ndarray, kind: int, rng: np.random.Generator) -> np.ndarray:
    """The code with one to three points moved to the deepest holes: the most crowded, or any."""
    K, d = U.shape
    V = U.copy()
    if rng.random() < 0.4:  # shaken: many good codes differ from a better one by a few contacts
        return normalise(V + 10 ** rng.uniform(-2, -0.7) * rng.standard_normal(V.shape))
    for _ in range(min(rng.integers(1, 4), K - 1)):
        C = cosines(V, kind)
        crowded = (C > C.max() - 1e-2).sum(axis=1) + rng.random(K)
        at = int(crowded.argmax() if rng.random() < 0.5 else rng.integers(K))
        rest = np.delete(V, at, axis=0)
        probes = normalise(rng.standard_normal((2000, d)))
        near = probes @ rest.T
        near = np.abs(near) if kind == ABSOLUTE else near
        holes = np.argsort(near.max(axis=1))[:3]
        V[at] = probes[rng.choice(holes)]
    return V


def _random(K: int, d: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((K, d))


def _cyclic(K: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Orbits of random points under a rotation of small order; points on its axis, if any, make up the number."""
    orders = [m for m in range(2, min(K, 12) + 1) if K % m <= 2 and K >= m]
    m = int(rng.choice(orders)) if orders else 1
    rotation = np.eye(d)
    for plane in range(d // 2):
        turn = 2 * np.pi * rng.integers(0 if plane else 1, m) / m
        c, s = np.cos(turn), np.sin(turn)
        rotation[2 * plane : 2 * plane + 2, 2 * plane : 2 * plane + 2] = [[c, -s], [s, c]]
    if d % 2 and m % 2 == 0 and rng.random() < 0.5:
        rotation[-1, -1] = -1
    points = rng.standard_normal((K // m, d))
    orbits = [points]
    for _ in range(m - 1):
        orbits.append(orbits[-1] @ rotation.T)
    return np.concatenate([*orbits, rng.standard_normal((K - m * (K // m), d))])


def _harmonic(K: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """An orbit of a cyclic group of order K under a random choice of frequencies: a harmonic frame."""
    frequencies = rng.permutation(np.arange(1, (K + 1) // 2))[: d // 2]
    if len(frequencies) < d // 2:
        return rng.standard_normal((K, d))
    angle = 2 * np.pi * np.arange(K)[:, None] * frequencies / K
    columns = [np.cos(angle), np.sin(angle)]
    if d % 2:
        columns.append(
            np.where(np.arange(K) % 2 == 0, 1, -1)[:, None] / np.sqrt(2) if K % 2 == 0 else np.full((K, 1), 0.5**0.5)
        )
    return np.concatenate(columns, axis=1)


def _polyhedral(K: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Orbits of random points of space under a rotation group, and points on its axes where that makes up the number."""
    fits = {name: ways for name in _GROUPS if (ways := list(_axes_that_fit(K, name)))}
    if not fits:
        return _random(K, d, rng)
    name = str(rng.choice(list(fits)))
    axes = fits[name][rng.integers(len(fits[name]))]
    group = Rotation.create_group(name).as_matrix()
    on_axes = np.concatenate(axes) if axes else np.zeros((0, 3))
    free = rng.standard_normal(((K - len(on_axes)) // len(group), 3))
    return np.concatenate([(free @ group.transpose(0, 2, 1)).reshape(-1, 3), on_axes])


def _axes_that_fit(K: int, name: str) -> Iterator[tuple[np.ndarray, ...]]:
    """Choices of orbits of points on axes after which the others come in whole orbits."""
    rotations = Rotation.create_group(name)
    group, orbits, turns = rotations.as_matrix(), {}, rotations.as_rotvec()
    axes = normalise(turns[np.linalg.norm(turns, axis=1) > 1e-9])
    for axis in np.concatenate([axes, -axes]):
        orbit = np.unique(np.round(group @ axis, 9) + 0.0, axis=0)
        orbits[orbit.tobytes()] = orbit
    for size in range(len(orbits) + 1):
        for chosen in itertools.combinations(orbits.values(), size):
            rest = K - sum(map(len, chosen))
            if rest >= 0 and rest % len(group) == 0:
                yield chosen
