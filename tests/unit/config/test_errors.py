"""The error tree: one class a code, drawn as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from config import errors
from config.errors import VX11Error, error_class


def tree(root: type[VX11Error] = VX11Error) -> Iterator[type[VX11Error]]:
    for child in root.__subclasses__():
        yield child
        yield from tree(child)


ALL = sorted(tree(), key=lambda cls: cls.__name__)


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    drawn = set(re.findall(r"── (\w+) (\d{3}) (\w+)", errors.__doc__ or ""))
    assert drawn == {(cls.__name__, str(cls.status), cls.code) for cls in ALL if cls.__module__ == errors.__name__}


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_each_class_says_what_it_means(cls: type[VX11Error]) -> None:
    assert 400 <= cls.status <= 599
    assert cls.title
    assert cls.__doc__
    assert cls.__doc__ != VX11Error.__doc__
    assert error_class(cls.code) is cls


def test_a_code_belongs_to_one_class() -> None:
    with pytest.raises(TypeError, match="'conflict' is taken by Conflict"):
        type("Another", (VX11Error,), {}, status=409, code="conflict", title="Another")


def test_an_unknown_code_is_nobodys() -> None:
    assert error_class("no_such_code") is None
