"""The form of a message, checked field by field: whatever is not exactly so is refused alike."""

from __future__ import annotations

from collections.abc import Mapping

from fedcredit.codec import Value
from fedcredit.errors import PeerError
from fedcredit.units import InstitutionId

__all__ = ["bytes_of", "cut", "fields_of", "malformed", "names_of", "sized"]


def malformed() -> PeerError:
    """The same error for whatever is wrong with a message's form."""
    return PeerError(
        "a message of secure aggregation does not have the form of one",
        remedy="drop it; check that both sides run the same version",
    )


def fields_of(value: object, keys: tuple[str, ...]) -> tuple[Value, ...]:
    """The fields of a message: all of them and no other."""
    if not isinstance(value, Mapping) or set(value) != set(keys):
        raise malformed()
    return tuple(value[key] for key in keys)


def bytes_of(value: object) -> bytes:
    """A byte string."""
    if not isinstance(value, bytes):
        raise malformed()
    return value


def sized(data: bytes, size: int) -> bytes:
    """A byte string of one length."""
    if len(data) != size:
        raise malformed()
    return data


def cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of one length."""
    if len(data) % size:
        raise malformed()
    return [data[at : at + size] for at in range(0, len(data), size)]


def names_of(value: object) -> tuple[InstitutionId, ...]:
    """Names that rise."""
    if not isinstance(value, tuple) or not all(type(one) is str for one in value):
        raise malformed()
    names = tuple(InstitutionId(str(one)) for one in value)
    if list(names) != sorted(set(names)):
        raise malformed()
    return names
