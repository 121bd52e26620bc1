"""What a coordinator sees in an honest turn: uniform words, and nothing that is secret."""

from __future__ import annotations

import ast
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from scipy.stats import chi2

import fedcredit.privacy
import fedcredit.secagg
from fedcredit.privacy.noise import discrete_gaussian
from fedcredit.secagg import masks
from fedcredit.secagg.client import Agreed, Masked
from fedcredit.secagg.forms import cut
from fedcredit.secagg.keys import Member, Sealer, seal
from fedcredit.secagg.masks import Mask, pair_seed, self_seed
from fedcredit.secagg.messages import Upload
from fedcredit.secagg.opening import (
    Opened,
)
from fedcredit.secagg.ring import Ring, Words
from fedcredit.secagg.shamir import write_shares
from tests.adversaries.distinguishers import (
    Vector,
    are_alike,
    flower_mask,
    folded,
    is_not_uniform,
    linear_complexity,
    seed_of,
)
from tests.adversaries.secagg_made import (
    IN_CLEAR,
    MOST_BYTES,
    TURN,
    Bank,
    Stream,
    World,
    nothing,
    plant,
    publics_of,
    world,
)

RING: Final = Ring(32)
SEARCHED_BITS: Final = 12


def mask_of(key: bytes, dim: int) -> Words:
    """The mask of one key, as the product draws it."""
    words = np.zeros(dim, RING.word)
    masks.add_masks(words, [(key, 1)], RING)
    return words


def masks_of_flower(words: Words, keys: list[Mask], ring: Ring) -> None:
    """The planted fault of masks that are drawn as Flower draws them."""
    for key, sign in keys:
        first, rest = flower_mask(folded(key), 1 << 32, [(1,), (words.size - 1,)])
        stream = np.concatenate([first, rest]).astype(ring.word)
        words += stream if sign > 0 else -stream


def keys_of_a_turn() -> list[bytes]:
    """Every key that a member draws a mask from, and every secret that they come from."""
    w = world()
    packages = w.packages()
    publics, context = publics_of(packages), bytes(range(32))
    keys = []
    for name, bank in w.banks.items():
        dealt = bank.dealt()
        keys += [dealt.blind, dealt.secret, self_seed(dealt.blind, context, name)]
        keys += [
            pair_seed(dealt.secret, context, (name, publics[name]), (other, publics[other]))
            for other in w.names
            if other > name
        ]
    return keys


# ------------------------------------------------------------------------------------ C1: the seed


def seed_is_near(first: int, rest: Vector, near: int) -> bool:
    """Whether Flower's generator gives a mask that is known, from a seed near by."""
    return (
        seed_of(first, rest.shape, lambda drawn: np.array_equal(drawn, rest), near, SEARCHED_BITS)
        is not None
    )


def seed_is_found() -> bool:
    """C1: Flower's search, with all but twelve bits of its fold of the right key given away."""
    for key in keys_of_a_turn():
        mask: Vector = mask_of(key, 9).astype(np.int64)
        if seed_is_near(int(mask[0]), mask[1:], folded(key)):
            return True
    return False


def test_a_search_as_against_flower_finds_no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """C1; where masks are drawn as Flower draws them, it does."""
    assert not seed_is_found()
    plant(monkeypatch, "add_masks", masks_of_flower)
    assert seed_is_found()


def two_keys_have_one_mask() -> bool:
    """C1: a key with one bit turned, or two that a fold would take out, gives an old mask."""
    key = bytes(range(100, 132))
    true = mask_of(key, 512)
    number = int.from_bytes(key, "little")
    for at in range(256):
        for turned in (number ^ 1 << at, number ^ 1 << at ^ 1 << (at + 32) % 256):
            mask = mask_of(turned.to_bytes(32, "little"), 512)
            if np.count_nonzero(mask == true) > 2:
                return True
    return False


def test_every_bit_of_a_key_changes_the_whole_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """C1; a fold to 32 bits has twins."""
    assert not two_keys_have_one_mask()
    plant(monkeypatch, "add_masks", masks_of_flower)
    assert two_keys_have_one_mask()


# ---------------------------------------------------------------------------------- C2: the vector


def upload_of(w: World, value: int) -> bytes:
    """The masked vector of the first member, all of whose numbers are alike."""
    bank = w.banks[w.names[0]]
    bank.value = np.full(w.asked.dim, value, np.int64)
    _, starts = w.hand_out(w.packages(), w.asked)
    return bytes(Upload.decode(bank.upload(starts[bank.name], w.asked), MOST_BYTES).vector)


def test_a_masked_constant_is_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """C2: counts of bytes, and of pairs that follow each other."""
    assert not is_not_uniform(upload_of(world(dim=1 << 16), 5))
    plant(monkeypatch, "add_masks", nothing)
    assert is_not_uniform(upload_of(world(dim=1 << 16), 5))


def test_two_runs_on_equal_numbers_are_independent() -> None:
    """C2; where the random source repeats itself, they are not."""
    one, other, again = (upload_of(world(dim=1 << 14, seed=seed), 5) for seed in ("a", "b", "a"))

    assert not are_alike(one, other)
    assert are_alike(one, again)


def has_a_short_register(bits: Vector) -> bool:
    """Whether a shift register much shorter than half of the bits gives them."""
    return abs(linear_complexity(bits.tolist()) - bits.size // 2) > 12


def test_the_lowest_bits_of_a_mask_have_no_short_register() -> None:
    """C3; those of a congruential generator do."""
    state, congruential = 1, []
    for _ in range(2048):
        state = (1103515245 * state + 12345) % 2**31
        congruential.append(state >> 8 & 1)

    assert not has_a_short_register(mask_of(bytes(32), 2048).astype(np.int64) & 1)
    assert has_a_short_register(np.array(congruential))


# -------------------------------------------------------------------------------- C4: what is sent


def written(secret: bytes) -> tuple[bytes, ...]:
    """A secret as it may stand in a message: as it is, turned round, as text."""
    return secret, secret[::-1], secret.hex().encode(), b64encode(secret)[:-4]


def secrets_of(w: World) -> Iterator[bytes]:
    """Keys, seeds and numbers of every member; none may ever leave."""
    for bank in w.banks.values():
        dealt = bank.dealt()
        yield from (bank.identity.signing, bank.identity.sealing, dealt.secret, dealt.blind)
        yield from (bank.value.tobytes(), RING.pack(RING.wrap(bank.value)))


def shares_of_keys(w: World, kinds: tuple[int, ...]) -> Iterator[bytes]:
    """Shares that the members hold, of b (0) and of k (1)."""
    for bank in w.banks.values():
        state = bank.holding().states[TURN]
        assert isinstance(state, Masked | Agreed)
        masked = state.masked if isinstance(state, Agreed) else state
        for pair in masked.shares:
            yield from (write_shares([pair[kind]]) for kind in kinds)


def secret_is_sent(w: World, numbers: str = "bank") -> bool:
    """C4: whether one of a turn's secrets stands in a byte that left a member."""
    packages = w.packages()
    secrets = list(secrets_of(w))
    collecting = w.collected(packages, w.names)
    before = b"".join(b"".join(bank.sent) for bank in w.banks.values())
    early = [*secrets, *shares_of_keys(w, (0, 1))]
    late = [*secrets, *shares_of_keys(w, (1,))]
    assert isinstance(w.finish(collecting), Opened)
    after = b"".join(b"".join(bank.sent) for bank in w.banks.values())
    return any(
        form in sent
        for sent, secret in ((before, early), (after, late))
        for one in secret
        for form in written(one)
    )


def test_no_key_share_or_number_leaves_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """C4: shares of b leave when they are asked for, shares of a survivor's k never."""
    assert not secret_is_sent(world())
    with pytest.MonkeyPatch.context() as patch:
        for name, fault in IN_CLEAR.items():
            plant(patch, name, fault)
        assert secret_is_sent(world())
    plant(monkeypatch, "add_masks", nothing)
    assert secret_is_sent(world())


def lane_is_sent(sealer: Sealer) -> bool:
    """C4: whether a lane key, of now or as it was sealed, stands in a byte that left a member."""
    first: list[bytes] = []

    def noting(member: Member, text: bytes, info: bytes) -> bytes:
        first.append(text)
        return sealer(member, text, info)

    w = world(sealer=noting)
    w.finish(w.collected(w.packages(), w.names))
    keys = [cut(bank.holding().lanes.keys, 32) for bank in w.banks.values()]
    later = [key for at, mine in enumerate(keys) for key in mine[:at] + mine[at + 1 :]]
    assert len(first) == len(later) == len(w.names) * (len(w.names) - 1)
    sent = b"".join(b"".join(bank.sent) for bank in w.banks.values())
    return any(key in sent for key in first + later)


def test_no_lane_key_leaves_a_dealer() -> None:
    """C4; where cards are not sealed, all do."""
    assert not lane_is_sent(seal)
    assert lane_is_sent(lambda member, text, info: text + bytes(48))


def vault_still_has_keys(w: World) -> bool:
    """C5: whether a vault gives up a key or a share of one after the last step."""
    packages = w.packages()
    secrets = [
        key for bank in w.banks.values() for key in (bank.dealt().secret, bank.dealt().blind)
    ]
    collecting = w.collected(packages, w.names)
    numbers = list(shares_of_keys(w, (1,)))
    w.finish(collecting)
    vaults = b"".join(bank.kept for bank in w.banks.values())
    return any(one in vaults for one in secrets) or any(one[1:] in vaults for one in numbers)


def test_a_vault_holds_no_key_once_its_member_has_revealed() -> None:
    """C5; a vault that is not written again does."""
    forgetful = world(5, 5)
    for bank in forgetful.banks.values():
        bank.forgets = True

    assert not vault_still_has_keys(world(5, 5))
    assert vault_still_has_keys(forgetful)


# --------------------------------------------------------------------------------------- C7: noise


def noise_is_too_small(share_of: Callable[[World], int]) -> bool:
    """C7: t survive, c of them add nothing; whether the sum's noise is below the variance."""
    variance, dim = 3000, 20_000
    w = world(5, 4, 1, dim=dim)
    survivors = w.names[: w.session.threshold]
    for at, name in enumerate(survivors):
        each = -(-variance // share_of(w))
        own: Bank = w.banks[name]
        own.value = (
            np.zeros(dim, np.int64)
            if at < w.session.colluders
            else discrete_gaussian(each, dim, Stream(f"noise/{name}"))
        )
    result = w.finish(w.collected(w.packages(), survivors))
    assert isinstance(result, Opened)
    squares = float((result.total.astype(np.float64) ** 2).sum())
    return bool(chi2(dim).cdf(squares / variance) < 1e-6)


def test_the_noise_of_the_honest_alone_reaches_the_variance() -> None:
    """C7: each adds its part of h = t - c; a part of all n would be too little."""
    assert not noise_is_too_small(lambda w: w.session.threshold - w.session.colluders)
    assert noise_is_too_small(lambda w: len(w.names))


def generators_in(source: str) -> list[str]:
    """Names of generators that are no source of secrets, wherever a module takes them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [one.name for one in names]
            case ast.ImportFrom(module=str(module), names=names):
                found += [f"{module}.{one.name}" for one in names]
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"):
                found.append("numpy.random")
    return [one for one in found if one.split(".")[0] == "random" or one.startswith("numpy.random")]


SOURCES: Final = [
    path
    for package in (fedcredit.secagg, fedcredit.privacy)
    for path in sorted(Path(package.__path__[0]).glob("*.py"))
]


@pytest.mark.parametrize("path", SOURCES, ids=[f"{one.parent.name}/{one.name}" for one in SOURCES])
def test_no_generator_stands_in_for_the_random_source(path: Path) -> None:
    """C7."""
    assert generators_in(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "from random import randbytes",
        "import numpy.random",
        "from numpy import random",
        "from numpy.random import default_rng",
        "import numpy as np\nnp.random.default_rng()",
    ],
)
def test_a_generator_that_is_planted_is_noticed(line: str) -> None:
    """C7."""
    assert generators_in(line)
