"""Code: a worker runs the workflows' modules as they were when it started, compiled once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType


class _Kept(SourceFileLoader):
    """Loads a module from the code that its first load has compiled."""

    def __init__(self, fullname: str, path: str, codes: dict[str, CodeType | None]) -> None:
        super().__init__(fullname, path)
        self._codes = codes

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code: its file's, as it was at first."""
        if fullname not in self._codes:
            self._codes[fullname] = super().get_code(fullname)
        return self._codes[fullname]


class _Keeper(MetaPathFinder):
    """Finds the modules of one package where Python does, and keeps their code."""

    def __init__(self, package: str) -> None:
        self.package = package
        self._codes: dict[str, CodeType | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module of the package is loaded; None for every other."""
        if fullname != self.package and not fullname.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Kept(fullname, spec.loader.path, self._codes)
        return spec


def keep_code(package: str) -> None:
    """Have every module of a package loaded from the code of its first load, in this process.

    The sandbox loads the workflows' modules anew for every run. Without bytecode on the disk, as
    in an image, each of those loads compiles them again, a quarter of a payout's CPU in its
    worker; and a file that a deployment has replaced by then would change runs of this release.
    Source: docs/decisions/0013-what-makes-payouts-fast.md.
    """
    if not any(isinstance(it, _Keeper) and it.package == package for it in sys.meta_path):
        sys.meta_path.insert(0, _Keeper(package))
