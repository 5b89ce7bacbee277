"""Which commit the files of a course are those of, and why it cannot be told where it cannot. Knows git; knows nothing
of what is published.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """Where files come from.

    Attributes:
        commit: all 40 digits; empty where there is none that they are those of.
        words: for a person, behind "from": "commit 0123456789ab", or why there is none.
    """

    commit: str
    words: str


def origin_of(root: Path) -> Origin:
    """HEAD of the repository that holds the folder, if all below the folder is committed."""
    try:
        if _git(root, "status", "--porcelain", "--", "."):
            return Origin("", "files that are not all committed")
        commit = _git(root, "rev-parse", "HEAD")
    except FileNotFoundError:
        return Origin("", "files whose commit is not known: git is not installed")
    except subprocess.CalledProcessError as error:
        return Origin("", f"files whose commit is not known: {_why(root, str(error.stderr))}")
    except (OSError, subprocess.SubprocessError) as error:
        return Origin("", f"files whose commit is not known: git did not answer ({error})")
    return Origin(commit, f"commit {commit[:12]}")


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(
        command, capture_output=True, text=True, errors="backslashreplace", check=True, timeout=30
    ).stdout.strip()


def _why(root: Path, said: str) -> str:
    """From git's words, in whatever language: what is typed is the same in each."""
    if "safe.directory" in said:  # git 2.35.2 and later (CVE-2022-24765)
        return (
            f"git does not look into {root}, as its owner is another user. If you trust what is there, type: "
            f"git config --global --add safe.directory '{root}'"
        )
    if "rev-parse" in said or "HEAD" in said:
        return "the repository has no commit yet"
    return f"{root} is in no repository that git reads ({(said.splitlines() or ['no reason given'])[0]})"
