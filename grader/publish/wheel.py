"""The kit as a wheel, which `pip install` takes without building anything: for students who have no `make setup`. Knows
the form (packaging.python.org/en/latest/specifications/binary-distribution-format); knows nothing of who hands it out.
"""

import base64
import hashlib
import tomllib

from grader.publish.tree import Tree, text_file, zipped
from grader.versions import kit_version

_WHEEL = "Wheel-Version: 1.0\nGenerator: tracegrade\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(kit: Tree) -> tuple[str, bytes]:
    """The wheel's name, and what stands in it; the same kit gives the same bytes.

    Args:
        kit: as `folder.kit_files` gives it.
    """
    project = tomllib.loads(kit["pyproject.toml"].data.decode())["project"]
    name, version = project["name"], kit_version()
    info = f"{name}-{version}.dist-info"
    scripts = "".join(f"{command} = {target}\n" for command, target in project["scripts"].items())
    needs = "".join(f"Requires-Dist: {needed}\n" for needed in project["dependencies"])
    files = {
        **{path: file for path, file in kit.items() if path.startswith("grader/")},
        f"{info}/METADATA": text_file(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {project['description']}\n"
            f"Requires-Python: {project['requires-python']}\n{needs}"
        ),
        f"{info}/WHEEL": text_file(_WHEEL),
        f"{info}/entry_points.txt": text_file(f"[console_scripts]\n{scripts}"),
        f"{info}/LICENSE": kit["LICENSE"],
    }
    record = "".join(f"{path},{_digest(file.data)},{len(file.data)}\n" for path, file in sorted(files.items()))
    files[f"{info}/RECORD"] = text_file(f"{record}{info}/RECORD,,\n")
    return f"{name}-{version}-py3-none-any.whl", zipped(files)


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return f"sha256={digest.rstrip('=')}"
