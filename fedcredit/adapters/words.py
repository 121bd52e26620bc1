"""Six words for a key, to be read aloud: whoever compares them has compared 66 bits.

The words are a list of our own, ``words.txt``: 2,048 English words of 3 to 8 letters, no two
of which begin with the same four, so a word is known by its beginning. Who wants other
keys with the same words has to try about 2^66 of them.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["WORDS", "all_words", "same_words", "words_of"]

WORDS: Final = 6  # in a fingerprint
_BITS: Final = 11  # of a word
_MASK: Final = (1 << _BITS) - 1


@cache
def all_words() -> tuple[str, ...]:
    """The 2,048 words, in the order that their numbers have."""
    return tuple(files("fedcredit.adapters").joinpath("words.txt").read_text("ascii").split())


def words_of(data: bytes) -> str:
    """The first 66 bits of the SHA-256 of some bytes, as six words.

    >>> words_of(b"")
    'time mass bead dark scone argue'
    """
    number = int.from_bytes(hashlib.sha256(data).digest()) >> (256 - WORDS * _BITS)
    places = (number >> (_BITS * (WORDS - 1 - at)) & _MASK for at in range(WORDS))
    return " ".join(all_words()[place] for place in places)


def same_words(said: str, words: str) -> bool:
    """Whether somebody has said these words, in whatever case and with whatever gaps.

    >>> same_words("  Acorn bay", "acorn bay")
    True
    """
    return said.casefold().split() == words.split()
