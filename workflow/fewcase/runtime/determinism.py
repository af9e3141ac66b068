"""Seeds, threads and algorithms: what makes two runs of one seed give the same bytes."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_of(*key: int) -> int:
    """Return a 63-bit seed for a place in an experiment, such as (seed, fold, bag, epoch).

    Keys of different length or order give unrelated seeds, as `numpy.random.SeedSequence` mixes
    them.
    """
    words = np.random.SeedSequence([len(key), *key]).generate_state(1, np.uint64)
    return int(words[0] >> 1)


def seed_libraries(seed: int) -> None:
    """Seed the global generators of torch (all devices), numpy and Python.

    Dropout, stochastic depth and the initialisation of layers draw from torch's; nothing of ours
    draws from a global one.
    """
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def prepare_torch(threads: int, device: str) -> None:
    """Set torch up for this process: threads, and algorithms that repeat on the CPU.

    On the CPU, sums depend on how many threads divide them, so their number is a setting of the
    study and not the number of free cores; operations with no deterministic form are an error.
    On a GPU the fastest algorithms are taken, whose last bits may differ from run to run.
    """
    torch.set_num_threads(threads)
    on_cpu = torch.device(device).type == "cpu"
    torch.use_deterministic_algorithms(on_cpu)
    # Nothing reads memory before it is written, so filling it first would only cost time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not on_cpu


def random_states() -> dict[str, torch.Tensor]:
    """Return the states of the global generators of torch, CPU and GPU, and of numpy."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    assert name == "MT19937"
    states = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.asarray(keys, dtype=np.uint32).astype(np.int64)),
        "numpy_position": torch.tensor([position, has_gauss], dtype=torch.int64),
        "numpy_gauss": torch.tensor([gauss], dtype=torch.float64),
    }
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: dict[str, torch.Tensor]) -> None:
    """Put the global generators back to what `random_states` returned."""
    torch.set_rng_state(states["torch"].cpu())
    position, has_gauss = states["numpy_position"].tolist()
    keys = states["numpy"].cpu().numpy().astype(np.uint32)
    gauss = float(states["numpy_gauss"][0])
    np.random.set_state(("MT19937", keys, position, has_gauss, gauss))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
