"""What `sleuth` shows is what it says: sorted, loadable, and nothing else."""

from __future__ import annotations

from importlib import import_module

import pytest

import sleuth


def test_all_is_sorted_and_complete() -> None:
    assert sleuth.__all__ == sorted(sleuth.__all__)
    assert set(sleuth.__all__) == {*sleuth._HOMES, "__version__"}


@pytest.mark.parametrize("name", sorted(sleuth._HOMES))
def test_every_public_name_loads_and_is_its_homes(name: str) -> None:
    value = getattr(sleuth, name)
    home = import_module(sleuth._HOMES[name])
    assert value is getattr(home, name)
    assert name in home.__all__


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'retrievr'"):
        _ = sleuth.retrievr


def test_a_function_keeps_its_name_after_its_room_is_imported() -> None:
    for name, home in sleuth._HOMES.items():
        import_module(home)
        assert getattr(sleuth, name) is getattr(import_module(home), name)
