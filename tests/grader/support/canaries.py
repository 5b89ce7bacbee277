"""Words that no published byte may hold, put into everything of a course that is its instructor's."""

import base64
from pathlib import Path

from gradings import SLUG, SOLUTION

# Each as a thing of that kind may be called: a name in the reference, a number, a comment.
CANARIES = (
    "_canary_of_the_reference",
    "canary_of_a_comment",
    "canary_hidden_check",
    "987123",
    "canary_wrong_folder",
    "canary_of_a_wrong_one",
    "canary_of_a_right_one",
    "canary_of_a_stray_file",
    "canary_of_a_result",
)


def put_canaries(root: Path) -> None:
    """Into a copy of the tiny course."""
    reference = root / SOLUTION
    mark = "    ### BEGIN SOLUTION\n"
    inside = f"{mark}    _canary_of_the_reference = 0  # canary_of_a_comment\n"
    reference.write_text(reference.read_text().replace(mark, inside))
    checks = root / "tests" / SLUG
    (checks / "hidden").mkdir()
    exercise = (root / "exercises" / SLUG / "exercise.yaml").read_text()
    size = next(line.split(":")[0].strip() for line in exercise.partition("sizes:\n")[2].splitlines())
    (checks / "hidden/sizes.yaml").write_text(f"format: 1\nsizes:\n  {size}: 987123\n")
    (checks / "hidden/test_more.py").write_text("def test_canary_hidden_check():\n    pass\n")
    (checks / "wrong/canary_wrong_folder").mkdir()
    (checks / "wrong/canary_wrong_folder/tiny.py").write_text("canary_of_a_wrong_one = 1\n")
    (checks / "right/poll/tiny.py").write_text("canary_of_a_right_one = 1\n")
    (root / "exercises" / SLUG / "notes.txt").write_text("canary_of_a_stray_file\n")
    (root / "exercises" / SLUG / ".grade").mkdir()
    (root / "exercises" / SLUG / ".grade/results.json").write_text('"canary_of_a_result"\n')


def wrappings(canary: str) -> dict[str, bytes]:
    """A canary's bytes as they are, and as common wrappings show them."""
    found = {"as it is": canary.encode(), "UTF-16": canary.encode("utf-16-le"), "hex": canary.encode().hex().encode()}
    for shift in range(3):  # base64 depends on where in its text a word begins
        whole = base64.b64encode(b" " * shift + canary.encode())
        found[f"base64 {shift}"] = whole[(0, 2, 3)[shift] + (shift > 0) : len(whole) // 4 * 4 - 4]
    return found
