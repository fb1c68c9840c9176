"""Who runs PostgreSQL when we are root: an existing unprivileged user, and what it can reach."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

_CANDIDATES = ("nobody", "daemon", "postgres")
SERVICE_FOLDER = Path("/var/lib/bursar")


class ServiceUser(NamedTuple):
    """An unprivileged user of this machine."""

    name: str
    uid: int
    gid: int


def service_user() -> ServiceUser:
    """Return the unprivileged user that runs the database server for root.

    Raises:
        LookupError: The machine has none of the usual ones.
    """
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceUser(name, entry.pw_uid, entry.pw_gid)
    raise LookupError(f"none of the users {', '.join(_CANDIDATES)} exists on this machine")


def can_reach(user: ServiceUser, path: Path) -> bool:
    """Tell whether a user may pass through every folder down to a file or folder, and enter it."""
    asked = subprocess.run(  # noqa: S603  fixed program
        ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return asked.returncode == 0


def reachable_place(user: ServiceUser | None, wanted: Path) -> Path:
    """Return the folder itself, or one elsewhere where the user cannot reach its parent.

    A link in the wanted place then leads there, so that the data go where the link goes: deleted
    with everything around it, it is never found again by a fresh start.

    Args:
        user: Who has to reach it; None is ourselves, who can.
        wanted: A folder that need not exist yet, in one that does.
    """
    if wanted.is_symlink():
        return wanted.resolve()
    if user is None or wanted.exists() or can_reach(user, wanted.parent):
        return wanted
    place = _service_folder() / f"{wanted.name}-{secrets.token_hex(6)}"
    wanted.symlink_to(place)
    return place


def reachable_binaries(user: ServiceUser | None, binaries: Path) -> Path:
    """Return the bin directory itself, or that of a copy where the user cannot reach it.

    Args:
        user: Who runs them; None is ourselves, who can.
        binaries: The `bin` of a package that finds its libraries by paths beside it.
    """
    if user is None or can_reach(user, binaries / "postgres"):
        return binaries
    package = binaries.parent.parent
    digest = hashlib.sha256(f"{package} {package.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    copy = _service_folder() / f"binaries-{digest}"
    if not copy.exists():
        new = copy.with_suffix(f".{os.getpid()}")
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, new / folder.name, symlinks=True)
        subprocess.run(["/bin/chmod", "-R", "a+rX", str(new)], check=True)  # noqa: S603  our copy
        new.rename(copy)
    return copy / package.name / binaries.relative_to(package)


def _service_folder() -> Path:
    """Return the folder for what an unprivileged user has to reach; only root needs it."""
    SERVICE_FOLDER.mkdir(parents=True, exist_ok=True)
    SERVICE_FOLDER.chmod(0o755)
    return SERVICE_FOLDER
