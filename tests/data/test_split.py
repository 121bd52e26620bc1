"""The split: each record's side is its own affair."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.split import held_out, marks, row_keys

keys = st.lists(st.binary(max_size=20), max_size=30)


@given(those=keys, salt=st.binary(max_size=80), data=st.data())
def test_a_records_side_depends_on_its_own_key_only(
    those: list[bytes], salt: bytes, data: st.DataObject
) -> None:
    sides = held_out(those, salt)
    assert sides.shape == (len(those),)
    if those:
        at = data.draw(st.integers(0, len(those) - 1))
        assert held_out([those[at]], salt)[0] == sides[at]


@given(those=keys, salt=st.binary(max_size=64))
def test_a_mark_is_the_keyed_hash_and_a_fifth_of_all_marks_is_held_out(
    those: list[bytes], salt: bytes
) -> None:
    plain = [blake2b(key, key=salt, digest_size=8).digest() for key in those]
    expected = [int.from_bytes(digest, "big") for digest in plain]
    assert marks(those, salt).tolist() == expected
    assert held_out(those, salt).tolist() == [mark < 2**64 // 5 for mark in expected]


def test_about_a_fifth_is_held_out_and_another_salt_holds_out_others() -> None:
    those = [str(number).encode() for number in range(20_000)]
    one, other = held_out(those, b"one"), held_out(those, b"other")
    for sides in (one, other):
        assert abs(sides.mean() - 0.2) < 0.015  # five standard deviations
    assert abs((one & other).mean() - 0.04) < 0.007


def test_a_row_is_its_own_key_where_nothing_names_a_person() -> None:
    cells = np.array([[1, 2, 1], [3, 4, 3]], dtype=np.uint8)
    assert row_keys(cells) == [b"\x01\x03", b"\x02\x04", b"\x01\x03"]
    assert row_keys(np.empty((2, 0), np.uint8)) == []
