"""A build with one check taken out of the middle of a function.

`secagg_made.plant` puts a fault in the place of a whole function. Where the check is a few
words inside one, the function is compiled again without them and all else as it was.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType

import pytest

from tests.adversaries.secagg_made import plant

__all__ = ["leave_out", "without"]


def without(function: Callable[..., object], *changes: tuple[str, str]) -> FunctionType:
    """The same function, but for some of its text.

    Args:
        function: a plain one, of the product.
        changes: what stands in its source just once, and what stands there instead.
    """
    assert isinstance(function, FunctionType)
    source = inspect.getsource(function)
    for text, instead in changes:
        assert source.count(text) == 1, f"{text!r} is not there any more: plant another fault"
        source = source.replace(text, instead)
    module = compile(source, f"{function.__name__} with a fault", "exec", dont_inherit=True)
    code = next(
        one
        for one in module.co_consts
        if isinstance(one, CodeType) and one.co_name == function.__name__
    )
    names = vars(sys.modules[function.__module__])  # the very ones, so other faults count too
    faulty = FunctionType(code, names, function.__name__, function.__defaults__)
    faulty.__kwdefaults__ = function.__kwdefaults__
    return faulty


def leave_out(patch: pytest.MonkeyPatch, module: ModuleType, *changes: tuple[str, str]) -> None:
    """Plant a function of a module without some of its text: the one in which it stands.

    Args:
        patch: undoes it.
        module: of the product.
        changes: see `without`; the first names the function.
    """
    text = changes[0][0]
    places = [
        one
        for one in vars(module).values()
        if isinstance(one, FunctionType)
        and one.__module__ == module.__name__
        and text in inspect.getsource(one)
    ]
    assert len(places) == 1, f"{text!r} stands in {len(places)} functions: plant another fault"
    plant(patch, places[0].__name__, without(places[0], *changes))
