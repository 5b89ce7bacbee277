"""The levels at which a program can be kept in, one class each, the best first. A level knows what it is called, whose
programs may run at it, why it cannot be had here, how a program sees its folders, what stands before its command line,
and what it has to prove. An object is one judge's: what all programs of that judge have around them.

It knows nothing of started programs, checks or reports. A level that is added is a class, and its place in `LEVELS`.
"""

import contextlib
import errno
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from grader.box import inside, kernel
from grader.box import seccomp as call_filter
from grader.box.canary import Canary
from grader.box.limits import Limits
from grader.box.staging import CANARY, TRACES, lay_out
from grader.box.wall import box_user, bwrap_options, covered, python_prefixes
from grader.errors import GraderError


class LevelRefused(Exception):
    """This level cannot be had here. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a judge has to build a level from."""

    staging: Path  # as `staging_folder` makes it
    bwrap: str | None  # absolute path; None where it is not installed
    canary: Canary
    hidden: tuple[Path, ...] = ()  # folders that no box shows, wherever they lie: a course may lie below /usr


@dataclass(frozen=True, slots=True, kw_only=True)
class Level(ABC):
    """What all programs of one judge have around them."""

    name: ClassVar[str]  # as reports have it
    for_strangers: ClassVar[bool]  # whether other people's programs may run at it
    # Whether a program has process numbers of its own: it can signal no process but its own, its tracer neither, and
    # nothing that it has started outlives its process 1.
    own_pids: ClassVar[bool]

    staging: Path
    uid: int | None  # the user that programs and their tracers run as; None: the judge's own

    @classmethod
    @abstractmethod
    def set_up(cls, site: Site) -> contextlib.AbstractContextManager[Self]:
        """Make this process a judge of this level, for good, and keep what it holds for the length of
        the block. Call it before there are threads.

        Raises:
            LevelRefused: this machine does not have what it takes.
            GraderError: it has, but something is in the way; the message has the cure.
        """

    @abstractmethod
    def at(self, staging: Path, hidden: Iterable[Path], /) -> Self:
        """The same around what is staged in another folder.

        Args:
            hidden: as of `Site`.
        """

    @abstractmethod
    def seen(self, name: str) -> str:
        """A path below the staging folder, as the program sees it."""

    @abstractmethod
    def command(
        self, limits: Limits, filters: "Filters", files: contextlib.ExitStack, /
    ) -> tuple[list[str], list[int]]:
        """The words before the program's own, and the descriptors that they name. `files` closes these
        when the program has started."""

    @abstractmethod
    def start_order(self, limits: Limits, *, thorough: bool) -> dict[str, Any]:
        """What `inside` is told first: what to give up, and what to prove; the slowest proof only when
        `thorough`."""

    @abstractmethod
    def missing(self, told: Mapping[str, Any], uid: int, /) -> dict[str, str]:
        """What is not as this level promises: protection and complaint.

        Args:
            told: the program's own word.
            uid: its user by the kernel's word.
        """

    @property
    def folder(self) -> str:
        """The submission's folder, as the program sees it."""
        return self.seen("submission")

    @property
    def given(self) -> str:
        return self.seen("given")

    @property
    def traces(self) -> Path:
        return self.staging / TRACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the system call filters of one program are to be like, where it has any."""

    allows: frozenset[str] = frozenset()  # as for `seccomp.program`
    one_more: bool = False  # one that lets everything through, for a program that has no tracer's filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxed(Level):
    """Behind bubblewrap's wall, a system call filter, Landlock and resource limits; each proves itself."""

    name: ClassVar[str] = "boxed"
    for_strangers: ClassVar[bool] = True
    own_pids: ClassVar[bool] = True

    bwrap: str
    canary: Canary
    python: tuple[tuple[Path, Path], ...] = ()  # prefixes of the base interpreter, and where the judge reaches them
    hidden: tuple[Path, ...] = ()  # folders below what a box shows that it shows empty

    @classmethod
    @contextlib.contextmanager
    def set_up(cls, site: Site) -> Iterator[Self]:
        if site.bwrap is None:
            raise LevelRefused("bubblewrap is not installed")
        with box_user() as uid:
            if refusal := kernel.enter_private_network():
                raise LevelRefused(f"a private network cannot be made ({refusal})")
            yield cls.build(site, uid=uid)

    @classmethod
    def build(cls, site: Site, *, uid: int | None) -> Self:
        """The level, in a judge that is in its own network. As root, in the judge's own mounts, make the interpreter
        reachable.

        Args:
            uid: the user that boxes run as, as `box_user` gave it.
        """
        try:
            lay_out(site.staging, uid=uid)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            raise LevelRefused(
                f"root's boxes run as another user, and this root has none ({error.strerror})"
            ) from error
        python = python_prefixes(uid, site.staging / "python")
        return cls(
            staging=site.staging,
            uid=uid,
            bwrap=site.bwrap or "",
            canary=site.canary,
            python=python,
            hidden=covered(site.hidden, python),
        )

    def at(self, staging: Path, hidden: Iterable[Path], /) -> Self:
        lay_out(staging, uid=self.uid)
        return replace(self, staging=staging, hidden=covered(hidden, self.python))

    def seen(self, name: str) -> str:
        return f"/box/{name}"

    def options(self, limits: Limits) -> list[str]:
        """bwrap's, but for the filters."""
        return bwrap_options(limits, staging=self.staging, python=self.python, hidden=self.hidden)

    def command(self, limits: Limits, filters: Filters, files: contextlib.ExitStack, /) -> tuple[list[str], list[int]]:
        library = call_filter.libseccomp()
        if library is None:
            raise GraderError("libseccomp.so.2 is missing: `sudo apt-get install -y libseccomp2`.")
        programs = [call_filter.program(library, allows=filters.allows)]
        if filters.one_more:  # first: behind the other one, no filter can be installed
            programs.insert(0, call_filter.ALLOWS_ALL)
        fds = [_unnamed(files, program) for program in programs]
        words = self.options(limits)
        words += [word for fd in fds for word in ("--add-seccomp-fd", str(fd))]
        fds.append(_unnamed(files, b"".join(os.fsencode(word) + b"\0" for word in words)))
        return [self.bwrap, "--args", str(fds[-1]), "--"], fds

    def start_order(self, limits: Limits, *, thorough: bool) -> dict[str, Any]:
        return {
            "op": "start",
            "limits": limits.as_rlimits(),
            "boxed": True,
            "probes": [name for name in inside.PROBES if thorough or name != "limits"],
            "canary": {
                "file": str(self.staging / CANARY),
                "folder": self.folder,
                "port": self.canary.port,
                "abstract": self.canary.abstract,
                "environ": self.canary.environ,
            },
        }

    def missing(self, told: Mapping[str, Any], uid: int, /) -> dict[str, str]:
        complaints = {str(name): str(complaint) for name, complaint in told.items() if complaint}
        if uid == 0:
            complaints["user"] = "the program's user is root outside of its namespace"
        return complaints


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare(Level):
    """With nothing around it but resource limits: nothing is claimed, so nothing is to be proven."""

    name: ClassVar[str] = "bare"
    for_strangers: ClassVar[bool] = False
    own_pids: ClassVar[bool] = False

    @classmethod
    @contextlib.contextmanager
    def set_up(cls, site: Site) -> Iterator[Self]:
        kernel.enter_private_network()  # for the ports of servers; where it is refused, the host's will do
        yield cls.build(site)

    @classmethod
    def build(cls, site: Site) -> Self:
        lay_out(site.staging, uid=None)
        return cls(staging=site.staging, uid=None)

    def at(self, staging: Path, _hidden: Iterable[Path], /) -> Self:
        lay_out(staging, uid=None)
        return replace(self, staging=staging)

    def seen(self, name: str) -> str:
        return str(self.staging / name)

    def command(
        self, _limits: Limits, _filters: Filters, _files: contextlib.ExitStack, /
    ) -> tuple[list[str], list[int]]:
        return [], []

    def start_order(self, limits: Limits, *, thorough: bool) -> dict[str, Any]:  # noqa: ARG002 there is no proof
        rlimits = limits.as_rlimits()
        del rlimits["NPROC"]  # it would count all the processes of the person who runs this
        return {"op": "start", "limits": rlimits, "boxed": False}

    def missing(self, _told: Mapping[str, Any], _uid: int, /) -> dict[str, str]:
        return {}


LEVELS: Final[tuple[type[Level], ...]] = (Boxed, Bare)


def level_named(name: str) -> type[Level]:
    """The level that a report calls so."""
    return next(level for level in LEVELS if level.name == name)


def _unnamed(files: contextlib.ExitStack, content: bytes) -> int:
    """The descriptor of a file without a name, to be read from its beginning."""
    file = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 `files` closes it
    file.write(content)
    file.seek(0)
    return file.fileno()
