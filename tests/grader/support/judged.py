"""Scenarios of tests, each in a process of its own that has become what a judge is: alone in a private network, the
parent of every orphan, behind nothing but the wall that it builds.

    python judged.py PARENT_PID          one job a line on standard input, one answer a line on standard output

unshare(2) moves the process that calls it, so no test may call it in pytest's own; and a fork for each scenario comes
ten times cheaper than an interpreter that imports everything anew. A scenario is a function of the test's file,
`scenario(level, *arguments)`. Knows how a judge starts; knows no check, no submission and nothing of pytest.

    {"file", "function", "arguments", "staging", "bwrap", "level", "private"}  ->  {"value"} or {"error": traceback}
"""

import importlib.util
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from grader.box import kernel
from grader.box.canary import host_canary
from grader.box.levels import Bare, Boxed, Level, Site
from grader.box.wall import box_user

PATIENCE_S = 120


def judge(scenario: Callable[..., Any], job: dict[str, Any], parent_pid: int) -> Any:
    kernel.die_with_parent(parent_pid)
    kernel.adopt_orphans()
    with host_canary() as canary, box_user() as uid:
        refusal = kernel.enter_private_network() if job["private"] else None
        if refusal:
            raise OSError(f"a private network was refused: {refusal}")
        kernel.die_with_parent(parent_pid)  # a new user namespace has cleared it
        site = Site(
            staging=Path(job["staging"]),
            bwrap=job["bwrap"],
            canary=replace(canary, environ=os.environ["JUDGED_SECRET"]),
        )
        level: Level = Boxed.build(site, uid=uid) if job["level"] == Boxed.name else Bare.build(site)
        return scenario(level, *job["arguments"])


def in_a_child(scenario: Callable[..., Any], job: dict[str, Any]) -> dict[str, Any]:
    parent_pid = os.getpid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE_S)
        try:
            answer = {"value": judge(scenario, job, parent_pid)}
        except BaseException:  # noqa: BLE001  # whatever it is, a test is to read it
            answer = {"error": traceback.format_exc()}
        with os.fdopen(writing, "w") as told:
            json.dump(answer, told)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as telling:
        text = telling.read()
    _, status = os.waitpid(child, 0)
    answered: dict[str, Any] = json.loads(text) if text else {"error": f"it ended with wait status {status}"}
    return answered


def main() -> None:
    kernel.die_with_parent(int(sys.argv[1]))
    files: dict[str, ModuleType] = {}
    for line in sys.stdin:
        job = json.loads(line)
        if job["file"] not in files:
            files[job["file"]] = imported(Path(job["file"]))
        print(json.dumps(in_a_child(getattr(files[job["file"]], job["function"]), job)), flush=True)


def imported(file: Path) -> ModuleType:
    """A file as a module, which may import what stands beside it."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
