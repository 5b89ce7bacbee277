"""What the tests of the measuring modules and of the wall share: one judge's process per scenario, and honest skips.

A skip is decided by asking the machine itself (bwrap, unshare, strace), never the kit: a broken kit must fail.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from places import TESTS

# What takes longest begins first: several workers take files in this order, and the last one should be a short one.
_LONGEST = (
    "test_red_team.py",
    "test_instructors.py",
    "test_gradebook.py",
    "test_nbgrader.py",
    "test_main.py",
    "test_kill.py",
    "test_scenario.py",
    "test_one.py",
    "test_box.py",
    "test_publication.py",
)

# A file's tests are one worker's, because they share what is made once; but the tests of these share little, and one
# worker would still have them when the others have ended. File: among how many workers.
_SHARES = {"test_red_team.py": 4, "test_gradebook.py": 2, "test_main.py": 2, "test_scenario.py": 2}

# What a shell starts with `&` ignores Ctrl-C, and so does all that it starts; but the tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A database would make one run depend on the one before; a busy machine makes any deadline lie.
settings.register_profile("kit", database=None, deadline=None)
settings.load_profile("kit")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in this hook too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    counts: Counter[str] = Counter()
    for item in items:
        file, name = str(item.path), item.path.name
        item.add_marker(pytest.mark.xdist_group(f"{file}-{counts[file] % _SHARES.get(name, 1)}"))
        counts[file] += 1


def _refused(command: list[str]) -> str | None:
    """Why the machine refuses this command, or None."""
    try:
        done = subprocess.run(
            command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=120, check=False
        )
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip() or f"{command[0]}: status {done.returncode}")


@pytest.fixture(scope="session")
def private_network() -> None:
    """Skips where a process may not enter a network of its own."""
    refused = _refused(["unshare", "--net", "true"] if os.getuid() == 0 else ["unshare", "--user", "--net", "true"])
    if refused:
        pytest.skip(f"no private network here: {refused}")


@pytest.fixture(scope="session")
def bwrap() -> str:
    """bubblewrap's path; skips where it is missing or may not make namespaces."""
    path = shutil.which("bwrap")
    if path is None:
        pytest.skip("bubblewrap is not installed")
    refused = _refused([path, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"])
    if refused:
        pytest.skip(f"no boxes here: {refused}")
    return path


@pytest.fixture(scope="session")
def strace() -> str:
    """strace's path; skips where it is missing or may not trace."""
    path = shutil.which("strace")
    if path is None:
        pytest.skip("strace is not installed")
    refused = _refused([path, "-f", "-o", os.devnull, "true"])
    if refused:
        pytest.skip(f"nothing can be traced here: {refused}")
    return path


@pytest.fixture(scope="session")
def countable(strace: str) -> None:
    """Only on a machine that can count: elsewhere a wrong submission may be unmeasured instead of red."""


@pytest.fixture
def staging() -> Iterator[Path]:
    """A judge's folder, with an empty submission: everyone may enter it, as pytest's own folders may not be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for inner in ("submission", "given"):
            (folder / inner).mkdir()
        yield folder


Judged = Callable[..., Any]


@pytest.fixture(scope="session")
def judges(private_network: None) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """What judged.py answers to a job, each done in a new judge's process."""
    words = [sys.executable, "-W", "error", str(TESTS / "support" / "judged.py"), str(os.getpid())]
    environment = {**os.environ, "JUDGED_SECRET": secrets.token_hex(16)}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as process:

        def judge(job: dict[str, Any]) -> dict[str, Any]:
            assert process.stdin is not None and process.stdout is not None
            print(json.dumps(job), file=process.stdin, flush=True)
            answer: dict[str, Any] = json.loads(process.stdout.readline() or '{"error": "judged.py has ended"}')
            return answer

        yield judge


@pytest.fixture
def judged(
    judges: Callable[[dict[str, Any]], dict[str, Any]], bwrap: str, staging: Path, request: pytest.FixtureRequest
) -> Judged:
    """Runs `scenario(level, *arguments)`, a function of the test's own file, in a judge's process; gives its value.

    `boxed=False` has the program run bare; `private=False` leaves the judge in the host's network.
    """

    def run(scenario: Callable[..., Any], *arguments: Any, boxed: bool = True, private: bool = True) -> Any:
        answer = judges(
            {
                "file": str(request.path),
                "function": scenario.__name__,
                "arguments": arguments,
                "staging": str(staging),
                "bwrap": bwrap,
                "level": "boxed" if boxed else "bare",
                "private": private,
            }
        )
        assert "value" in answer, answer["error"]
        return answer["value"]

    return run
