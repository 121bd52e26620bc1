"""Six words for 66 bits: the list never changes, and no two words are taken for each other."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.adapters.words import WORDS, all_words, same_words, words_of


def test_the_list_can_be_read_aloud() -> None:
    """2,048 words of 3 to 8 plain letters, in order; the first four letters tell each from all."""
    words = all_words()
    assert len(words) == 2048
    assert list(words) == sorted(words)
    assert all(3 <= len(word) <= 8 and word.isascii() and word.isalpha() for word in words)
    assert all(word.islower() for word in words)
    assert len({word[:4] for word in words}) == 2048


def test_the_list_is_as_it_was() -> None:
    """Another list would give every key other words, on one side and not on the other."""
    found = hashlib.sha256("\n".join(all_words()).encode()).hexdigest()
    assert found == "419ebcc3cb1c12a99f60ab64fc029397496dde3fc295a7e0174546cb21a7d35b"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "time mass bead dark scone argue"),
        (b"fedcredit", "shift shrimp adult little lotion yoga"),
        (bytes(32), "hook evoke pretty vase cork role"),
    ],
)
def test_words_are_as_they_were(data: bytes, words: str) -> None:
    assert words_of(data) == words


@given(st.binary(max_size=64))
def test_words_are_the_first_66_bits_of_a_hash(data: bytes) -> None:
    """Read back by their places, they are the bits; so other bits are other words."""
    places = [all_words().index(word) for word in words_of(data).split()]
    assert len(places) == WORDS
    bits = "".join(f"{place:011b}" for place in places)
    expected = "".join(f"{byte:08b}" for byte in hashlib.sha256(data).digest())[:66]
    assert bits == expected


def test_words_are_heard_in_any_case_and_in_one_order() -> None:
    assert same_words("  Acorn\n BAY  ", "acorn bay")
    assert not same_words("bay acorn", "acorn bay")
    assert not same_words("acorn", "acorn bay")
    assert not same_words("acorn bay bay", "acorn bay")
    assert not same_words("", "acorn bay")
