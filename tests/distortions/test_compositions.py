"""The 308 compositions and the ids that name them."""

from __future__ import annotations

import hashlib

import pytest

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.compositions import COMPOSITIONS, COMPOSITIONS_VERSION
from bapps_gen.distortions.registry import Registry
from bapps_gen.errors import UserError


def test_the_list_is_what_its_rule_says() -> None:
    by_rule = [
        (first.name, second.name)
        for first in ATOMS
        for second in ATOMS
        if first is not second
        and not (first.family == second.family and first.family in ("noise", "spatial"))
    ]
    assert list(COMPOSITIONS) == by_rule
    assert len(COMPOSITIONS) == 308
    assert COMPOSITIONS_VERSION == 1


def test_neither_the_list_nor_its_order_changes_within_a_version() -> None:
    lines = "".join(f"{first}+{second}\n" for first, second in COMPOSITIONS)
    digest = hashlib.sha256(f"{COMPOSITIONS_VERSION}\n{lines}".encode()).hexdigest()
    assert digest == "e93fccfbed6bd02effb9915ee2b82b5e1e69609c6db6467df51c024a8c6e5e8b"


def test_members_come_in_the_order_they_are_applied(registry: Registry) -> None:
    assert [atom.name for atom in registry.members("gaussian_blur+jpeg")] == [
        "gaussian_blur",
        "jpeg",
    ]
    assert [atom.name for atom in registry.members("pink")] == ["pink"]
    for distortion_id in registry.ids:
        members = registry.members(distortion_id)
        assert "+".join(member.name for member in members) == distortion_id


@pytest.mark.parametrize(
    ("distortion_id", "message"),
    [
        ("gausian_blur", "did you mean 'gaussian_blur'"),
        ("gaussian_blur+jpg", "unknown distortion 'jpg'; did you mean 'jpeg'"),
        ("pink+blue", "'pink\\+blue' is not one of the 308 compositions"),
        ("jpeg+jpeg", "is not one of the 308 compositions"),
        ("jpeg+pink+shift", "has 3 members"),
        ("", "unknown distortion ''"),
        ("jpeg+", "unknown distortion ''"),
    ],
)
def test_an_unknown_id_is_refused_with_a_hint(
    registry: Registry, distortion_id: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        registry.members(distortion_id)
