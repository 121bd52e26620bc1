"""Draws per second of the exact discrete Gaussian, beside OpenDP's and numpy's float Gaussian.

One core, processor time, one run, side by side. OpenDP's sampler is exact too;
numpy's is neither exact nor secret and shows only what giving that up would buy.

    python benchmarks/noise.py [--json] [--draws 2000000]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from math import sqrt

import numpy as np
import opendp.prelude as dp
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fedcredit.privacy.noise import RandomBytes, discrete_gaussian

VARIANCES = (16, 900, 2**20, 2**36)
SLOW = 50  # OpenDP draws this many times fewer numbers: the rate is what counts


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--draws", type=int, default=2_000_000, help="draws a measurement")
    arguments = parser.parse_args()

    found = {str(variance): measure(variance, arguments.draws) for variance in VARIANCES}

    if arguments.json:
        print(json.dumps({"unit": "draws per second of processor time", "variance": found}))
        return
    print("draws per second of processor time, one core")
    print(f"{'variance':>12}" + "".join(f"{name:>24}" for name in next(iter(found.values()))))
    for variance, rates in found.items():
        print(f"{variance:>12}" + "".join(f"{rate:>24,}" for rate in rates.values()))


def measure(variance: int, draws: int) -> dict[str, int]:
    """Return the rate of each sampler, in draws per second."""
    sd = sqrt(variance)
    dp.enable_features("contrib")
    numbers = dp.vector_domain(dp.atom_domain(T="i64"))
    oracle = dp.m.make_gaussian(numbers, dp.l2_distance(T="f64"), scale=sd)
    zeros = [0] * (draws // SLOW)
    floats = np.random.default_rng()
    stream = key_stream()
    return {
        "ours, os.urandom": rate(draws, lambda: discrete_gaussian(variance, draws, os.urandom)),
        "ours, AES-256-CTR": rate(draws, lambda: discrete_gaussian(variance, draws, stream)),
        "OpenDP": rate(len(zeros), lambda: oracle(zeros)),
        "numpy float (not DP)": rate(draws, lambda: floats.normal(0, sd, draws)),
    }


def rate(draws: int, draw: Callable[[], object]) -> int:
    """Return draws per second of processor time, the best of three runs."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        draw()
        seconds.append(time.process_time() - start)
    return round(draws / min(seconds))


def key_stream() -> RandomBytes:
    """Return a source of random bytes: AES-256 in counter mode under a fresh key."""
    encrypt = Cipher(AES256(os.urandom(32)), CTR(bytes(16))).encryptor()
    return lambda count: encrypt.update(bytes(count))


if __name__ == "__main__":
    main()
