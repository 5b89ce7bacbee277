"""The kit as a wheel: what pip makes of it is the kit, and the same kit gives the same bytes."""

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from grader.publish.folder import kit_files
from grader.publish.wheel import wheel
from grader.versions import kit_version


def test_pip_installs_the_whole_kit_without_building(tmp_path: Path) -> None:
    name, packed = wheel(kit_files())
    (tmp_path / name).write_bytes(packed)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(tmp_path / "there"), str(tmp_path / name)], check=True)

    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from grader.versions import kit_version; print(kit_version())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path / "there")], capture_output=True, text=True, check=True
    )

    assert name == f"tracegrade-{kit_version()}-py3-none-any.whl"
    assert done.stdout.strip() == kit_version()
    assert (tmp_path / "there/bin/grade").is_file() and (
        tmp_path / "there/grader/report/schemas/report-2.json"
    ).is_file()


def test_the_record_names_every_file_and_the_licence_is_among_them() -> None:
    name, packed = wheel(kit_files())

    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
        info = f"tracegrade-{kit_version()}.dist-info"
        record = archive.read(f"{info}/RECORD").decode()
        assert [line.partition(",")[0] for line in record.splitlines()] == [
            *sorted(set(names) - {f"{info}/RECORD"}),
            f"{info}/RECORD",
        ]
        assert "MIT License" in archive.read(f"{info}/LICENSE").decode()
        assert re.search(r"(?m)^Requires-Dist: click>=", archive.read(f"{info}/METADATA").decode())
    assert not [one for one in names if one.startswith(("tests", "solutions", "exercises"))]
    assert wheel(kit_files()) == (name, packed)
