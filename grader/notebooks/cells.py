"""What the cells of a notebook are called, and how one begins that is handed in: so a notebook that was published, the
kernel that runs it, autograding and the gradebook mean the same cells.

Knows names, and not what stands in a cell. Prefixes keep a check that is called `solution` or `welcome` from being
taken for another cell.
"""

COURSE = "course"  # the folder beside a notebook that its checks come from
MAGIC = "%%solution"  # the first word of a cell that is handed in; the second is the file that the cell stands for
SOLUTION = "solution"  # the cell that is handed in, where nbgrader keeps what a student is told
REFUSED, NO_VERDICT, ABSENT = (
    "Refused:",
    "There is no verdict",
    "Nothing was handed in",
)  # how an automatic comment begins of what has no score
_CHECK = "check-"


def assignment(slug: str) -> str:
    """The assignment and its one notebook: "ex03" for "ex03_epoll"."""
    return slug.partition("_")[0]


def check_cell(check: str) -> str:
    """The graded cell of that check."""
    return f"{_CHECK}{check}"


def check_of(cell: str) -> str | None:
    """The check that a graded cell is about; None when it is none of ours."""
    return cell.removeprefix(_CHECK) if cell.startswith(_CHECK) else None


def solution_cell(file: str, *, first: bool) -> str:
    """The cell of a file that is handed in; most exercises have one."""
    return SOLUTION if first else f"{SOLUTION}-{file.removesuffix('.py')}"


def first_line(file: str) -> str:
    """What the cell of that file begins with."""
    return f"{MAGIC} {file}"
