"""Everything that can be applied: the atoms, their compositions, and a user's own distortions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bapps_gen.distortions.atoms import ATOMS
from bapps_gen.distortions.compositions import COMPOSITIONS
from bapps_gen.distortions.definition import Distortion
from bapps_gen.distortions.plugins import load_plugin
from bapps_gen.errors import UserError, unknown_name

_REMEDY = "`bapps-gen distortions` lists them all"


@dataclass(frozen=True, slots=True)
class Registry:
    """Distortions by name.

    Args:
        atoms: single distortions by name: the built-in ones in the table's order, then plugins'.
        compositions: the members of the 308 versioned compositions by id, such as
            "gaussian_blur+jpeg", the first applied first.
    """

    atoms: Mapping[str, Distortion]
    compositions: Mapping[str, tuple[str, str]]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in a stable order: 20 atoms, 308 compositions, then plugins' distortions."""
        names = tuple(self.atoms)
        return names[: len(ATOMS)] + tuple(self.compositions) + names[len(ATOMS) :]

    def atom(self, name: str) -> Distortion:
        """The single distortion of that name.

        Raises:
            UserError: for an unknown name, with the nearest known one.
        """
        try:
            return self.atoms[name]
        except KeyError:
            raise unknown_name("distortion", name, self.atoms, _REMEDY) from None

    def members(self, distortion_id: str) -> tuple[Distortion, ...]:
        """The one or two distortions that an id stands for, in the order they are applied.

        Besides the versioned compositions, a plugin's distortion may be composed with any other.

        Raises:
            UserError: for an unknown id, with the nearest known one.
        """
        names = distortion_id.split("+")
        if len(names) == 1:
            return (self.atom(distortion_id),)
        if distortion_id in self.compositions:
            return tuple(self.atoms[name] for name in names)
        members = tuple(self.atom(name) for name in names)
        if len(members) != 2:
            raise UserError(
                f"distortion '{distortion_id}' has {len(members)} members; "
                "a composition has two, such as gaussian_blur+jpeg"
            )
        if members[0] is members[1] or all(atom in ATOMS for atom in members):
            raise UserError(
                f"'{distortion_id}' is not one of the {len(self.compositions)} compositions, which "
                f"join two distinct distortions, not both noise and not both spatial; {_REMEDY}"
            )
        return members


def load_registry(plugins: Sequence[str] = ()) -> Registry:
    """The built-in distortions and those of plugins.

    Args:
        plugins: for each, the path of a Python file or the name of an entry point in the group
            "bapps_gen.distortions"; see `bapps_gen.distortions.plugins.load_plugin`.

    Raises:
        UserError: for a plugin that cannot be used, or one that takes a name already taken.
    """
    atoms = {atom.name: atom for atom in ATOMS}
    for plugin in plugins:
        for record in load_plugin(plugin):
            if record.name in atoms:
                taken = "built in" if atoms[record.name] in ATOMS else "defined by a plugin before"
                raise UserError(
                    f"plugin {plugin}: the name '{record.name}' is already {taken}; choose another"
                )
            atoms[record.name] = record
    return Registry(atoms, {f"{first}+{second}": (first, second) for first, second in COMPOSITIONS})
