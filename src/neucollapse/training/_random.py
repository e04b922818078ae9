"""The three global random states of a process, as tensors and plain values, and generators apart from them."""

import random
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed the generators of Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the legacy generator is the one that users' transforms draw from
    torch.manual_seed(seed)


def generator(seed: int, *purpose: int | str) -> torch.Generator:
    """A generator for each seed and purpose; what others draw makes no difference to it."""
    words = [int.from_bytes(word.encode()) if isinstance(word, str) else word for word in (seed, *purpose)]
    # SeedSequence mixes them, so that (seed 0, epoch 1) and (seed 1, epoch 0) differ.
    mixed = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(mixed)


def random_state() -> dict[str, Any]:
    """The states of Python, numpy and torch (all CUDA devices, where there are any)."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": [version, torch.tensor(internal, dtype=torch.int64), gauss],
        "numpy": [name, torch.tensor(np.asarray(keys, dtype=np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what ``random_state`` gave."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
