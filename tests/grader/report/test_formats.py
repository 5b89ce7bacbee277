"""Each form is what its tool reads: by the tool's own parser or schema, with golden files; nothing of a stranger's is
obeyed in any of them, and what is no grade is a zero in none.
"""

import base64
import csv
import html
import io
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import jsonschema
import junitparser
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from form_samples import CONTEXT, FAILURE, FILES, GOLDEN, KIT, MEASURED, NO_GRADE, REPORTS, SAMPLES
from grader.errors import UsageError
from grader.failures import Evidence
from grader.report.folder import Result
from grader.report.formats import FORMATS, Context, Roster, render, render_class
from grader.report.model import Isolation, Outcome, Report, from_json
from grader.safe_text import safe_text

OF_REPORT = [name for name, form in FORMATS.items() if not form.of_class]
AS_JSON = ["classroom", "gradescope", "prairielearn", "plain", "autolab"]

# A busy machine is not a failure, and the folder that the tests start in may be read-only.
PATIENT = settings(deadline=None, database=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


every_report = pytest.mark.parametrize("report", REPORTS)


def rendered(name: str, report: str) -> str:
    return render(name, REPORTS[report], CONTEXT)


def document(name: str, text: str) -> Any:
    """What a tool that reads JSON makes of a text."""
    if name == "classroom":
        key, _, value = text.partition("=")
        assert key == "result" and value.endswith("\n") and "\n" not in value[:-1]
        return json.loads(base64.b64decode(value[:-1], validate=True))
    if name == "autolab":
        return json.loads(as_autolab_reads(text.rstrip().split("\n")[-1]))
    return json.loads(text)


def as_autolab_reads(line: str) -> str:
    """`parseAutoresult` in app/helpers/assessment_autograde_core.rb of autolab/Autolab."""
    return re.sub(r"([a-zA-Z0-9]+):", r'"\1":', line)


# --- golden files, schemas ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_form_is_what_was_looked_at(file: Path) -> None:
    assert FILES[file] == file.read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_form() -> None:
    assert {file for file in GOLDEN.iterdir() if file.is_file() and file.suffix != ".py"} == set(FILES)


@every_report
@pytest.mark.parametrize("name", AS_JSON)
def test_what_a_tool_reads_as_json_fits_its_schema(name: str, report: str) -> None:
    schema = json.loads((GOLDEN / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)

    jsonschema.validate(document(name, rendered(name, report)), schema)


@pytest.mark.parametrize("name", AS_JSON)
def test_a_schema_refuses_what_its_tool_would(name: str) -> None:
    schema = json.loads((GOLDEN / "schemas" / f"{name}.json").read_text())
    good = document(name, rendered(name, "measured"))
    bad = {**good, "score": "12", "scores": {}, "tests": [{"score": "1"}]}

    assert list(jsonschema.Draft202012Validator(schema).iter_errors(good)) == []
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(bad)) != []


@every_report
def test_as_json_a_report_is_the_report(report: str) -> None:
    read = from_json(rendered("json", report))

    assert read.graded == REPORTS[report].graded
    if report not in {
        "every_text",
        "hostile",
        "hostile_refused",
        "failing",
        "measured",
        "unmeasured",
    }:  # in these a stranger speaks
        assert read == REPORTS[report]


def test_a_name_that_is_no_form_is_refused() -> None:
    with pytest.raises(ValueError, match="'canvas' is no form of one report"):
        render("canvas", MEASURED)
    with pytest.raises(ValueError, match="'junit' is no form of a class"):
        render_class("junit", KIT["CLASS"])


# --- no zero where there is no grade ------------------------------------------------------------------------------


@pytest.mark.parametrize("report", NO_GRADE)
def test_what_is_no_grade_is_a_zero_in_no_form_and_says_why(report: str) -> None:
    whys = {
        "unmeasured": "37 of 39 points",
        "bare": "Only some of the checks",
        "absent": "There is no submission, so this is no grade: ex03_epoll: nothing was handed in.",
        "refused": "epoll_server.py:12: the byte 0xfc is not UTF-8. Save as UTF-8 in your editor.",
    }
    why = whys.get(report, "There is no verdict")
    read = {name: document(name, rendered(name, report)) for name in AS_JSON}

    gradescope = read["gradescope"]
    assert not [one for one in [gradescope, *gradescope["tests"]] if "score" in one]
    assert read["prairielearn"]["gradable"] is False
    assert "score" not in read["prairielearn"]
    assert list(read["autolab"]["scores"].values()) == [None]
    assert (read["classroom"]["status"], read["classroom"]["max_score"]) == ("error", 0)
    assert why in gradescope["output"]
    assert why in read["prairielearn"]["format_errors"][0]
    assert why in rendered("autolab", report)
    assert why in read["classroom"]["tests"][0]["message"]
    assert why in read["plain"]["message"]
    assert why in html.unescape(rendered("github-summary", report))


def test_a_grade_is_the_same_number_everywhere() -> None:
    read = {name: document(name, rendered(name, "measured")) for name in AS_JSON}

    assert (MEASURED.score, MEASURED.max_score) == (12, 37)
    assert read["gradescope"]["score"] == 12 == sum(test["score"] for test in read["gradescope"]["tests"])
    assert sum(test["max_score"] for test in read["gradescope"]["tests"]) == 37
    assert read["prairielearn"]["score"] == pytest.approx(12 / 37)
    assert sum(test["points"] for test in read["prairielearn"]["tests"]) == 12
    assert read["autolab"] == {"scores": {"ex03_epoll": 12}}
    assert sum(test["score"] for test in read["classroom"]["tests"]) == 12
    assert read["classroom"]["max_score"] == 37
    assert "12 of 37 points" in rendered("github", "measured")
    assert "12 of 37 points" in rendered("github-summary", "measured")


def test_an_unofficial_grade_says_so_in_every_form() -> None:
    report = SAMPLES["graded"](SAMPLES["BASIC"], isolation=Isolation.BARE, official=False)

    for name in OF_REPORT:
        text = render(name, report)
        text = json.dumps(document(name, text)) if name == "classroom" else text
        assert "official" in text.lower(), name
        if name != "json":
            assert "the program was not boxed" in text, name


# --- JUnit --------------------------------------------------------------------------------------------------------


@every_report
def test_junitparser_counts_what_the_report_holds(tmp_path: Path, report: str) -> None:
    file = tmp_path / "junit.xml"
    file.write_text(rendered("junit", report), encoding="utf-8")
    value = REPORTS[report]
    outcomes = [check.outcome for check in value.checks]

    (suite,) = junitparser.JUnitXml.fromfile(str(file))

    said = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == said
    assert suite.errors == (0 if value.graded else 1)
    assert suite.failures == sum(one in {"failed", "timed_out", "crashed", "forbidden"} for one in outcomes)
    assert suite.skipped == sum(one in {"not_run", "unmeasured", "omitted"} for one in outcomes)
    assert suite.tests == len(outcomes) + suite.errors
    properties = {one.name: one.value for one in suite.properties()}  # type: ignore[no-untyped-call]
    assert properties["seed"] == str(value.seed)
    assert properties["isolation"] in {"boxed", "bare", "unproven"}
    assert len(properties["checks_digest"]) >= 64
    assert ("score" in properties) == value.graded


# --- GitHub -------------------------------------------------------------------------------------------------------


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """What GitHub's runner reads (ActionCommand.TryParseV2 in actions/runner): kind, properties, message."""
    found = []
    for line in text.removesuffix("\n").split("\n"):
        match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        assert match, line
        pairs = (pair.split("=", 1) for pair in match[2].split(","))
        found.append((match[1], {key: unquote(value) for key, value in pairs}, unquote(match[3])))
    return found


def test_an_annotation_stands_at_the_line_that_the_evidence_names_or_else_at_the_file() -> None:
    found = {properties["title"]: properties for _, properties, _ in commands(rendered("github", "measured"))}

    path = "exercises/ex03_epoll/epoll_server.py"
    assert found["ex03_epoll: rst (crashed)"] == {"file": path, "line": "41", "title": "ex03_epoll: rst (crashed)"}
    assert found["ex03_epoll: frag (timed out)"] == {"file": path, "title": "ex03_epoll: frag (timed out)"}


@pytest.mark.parametrize(
    ("evidence", "line"),
    [
        ([("epoll_server.py", 2), ("epoll_server.py", 7)], "7"),
        ([("epoll_server.py", 5), ("other.py", 9)], "5"),
        ([("epoll_server.py", 5), (None, None)], "5"),
        ([("other.py", 9)], None),
        ([("epoll_server.py", None)], None),
        ([(None, 3)], None),
        ([], None),
    ],
)
def test_only_evidence_names_a_line_and_only_of_a_file_that_was_handed_in(
    evidence: list[tuple[str | None, int | None]], line: str | None
) -> None:
    rows = [Evidence("epoll_server.py:8 in serve: only words", *place) for place in evidence]
    check = SAMPLES["scored"]("a", "A", 1, Outcome.FAILED, failure=FAILURE("1", "2", "", *rows))

    (_, properties, _), _ = commands(render("github", SAMPLES["graded"](check), CONTEXT))

    assert properties["file"] == CONTEXT.files["epoll_server.py"]
    assert properties.get("line") == line


def test_without_a_repository_there_is_no_file() -> None:
    assert "file=" not in render("github", MEASURED)


def test_percent_signs_line_feeds_colons_and_commas_arrive_as_they_were() -> None:
    check = SAMPLES["scored"]("a", "100%: a, b", 1, Outcome.FAILED, failure=FAILURE("50%0A", "z::x, y"))

    (kind, properties, message), _ = commands(
        render("github", SAMPLES["graded"](check), Context({"a.py": "odd, dir%: x/a.py"}))
    )

    assert kind == "error"
    assert properties["file"] == "odd, dir%: x/a.py"
    assert message == "100%: a, b\nexpected: 50%0A\nseen: z::x, y"


def test_more_than_ten_failures_are_counted_and_all_are_in_the_summary() -> None:
    checks = [SAMPLES["scored"](f"c{i}", "t", 1, Outcome.FAILED, failure=FAILURE("", "1")) for i in range(13)]
    report = SAMPLES["graded"](*checks)

    kinds = [kind for kind, _, _ in commands(render("github", report))]

    assert kinds == ["error"] * 10 + ["notice"]
    assert "3 more failed; the job's summary has all." in render("github", report)
    assert "**c12** failed" in render("github-summary", report)


def test_no_verdict_is_an_error_and_comes_first() -> None:
    (kind, properties, message), *_ = commands(rendered("github", "ungraded"))

    assert (kind, properties["title"]) == ("error", "ex03_epoll: no verdict")
    assert "ptrace is not permitted" in message


def test_a_summary_that_would_be_refused_for_its_size_is_cut_with_a_notice() -> None:
    long = "\n".join("가" * 150 for _ in range(100))
    told = FAILURE(long, "")
    report = SAMPLES["graded"](*(SAMPLES["scored"](f"c{i}", "t", 1, Outcome.FAILED, failure=told) for i in range(200)))

    text = render("github-summary", report)

    assert len(text.encode()) < 2**20
    assert text.endswith("The rest is left out: it is too long for this page.\n\n")


class Tags(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def page(markdown: str) -> Tags:
    return Tags(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


OUR_TAGS = {"h2", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "pre", "code"}


@every_report
def test_the_summary_is_a_page_of_our_elements_only(report: str) -> None:
    shown = page(rendered("github-summary", report))

    assert shown.names <= OUR_TAGS
    assert shown.attributes <= {"style"}  # of the columns
    assert "epoll loop (ex03_epoll)" in shown.text or report in {"every_text", "hostile_refused", "korean"}


def test_a_summary_shows_a_stranger_as_he_wrote() -> None:
    shown = page(rendered("github-summary", "hostile"))

    assert "![x](http://evil.example/beacon) [y](javascript:alert(1))" in shown.text
    assert "</pre></code><script>alert(1)</script>" in shown.text
    assert "# heading\n```" in shown.text


@given(st.text(st.sampled_from("a1 _*<>`|~$@#:/.[]()!&\\-+=w;"), min_size=1, max_size=12))
@example("__init__")
@example("_a_ a_b *b* ~~c~~ `d`")
@example("&amp; &#65; <b> [x](y) ![z](y)")
@example("- 1. + > # =")
@example("##[")  # begins a command of GitHub's, which no text of ours may hold
def test_a_title_is_shown_as_it_was_written_and_is_never_structure(title: str) -> None:
    report = SAMPLES["graded"](SAMPLES["scored"]("echo", f"T{title}T", 5))

    shown = page(render("github-summary", report))

    assert " ".join(safe_text(f"T{title}T").split()) in " ".join(shown.text.split())
    assert shown.names <= OUR_TAGS - {"pre"} and "code" in shown.names


@pytest.mark.parametrize(
    "text", ["see http://evil.example", "www.evil.example", "by @someone", "of #12", "so :tada: nice"]
)
def test_what_github_would_make_a_link_a_mention_or_an_emoji_of_stays_text(text: str) -> None:
    report = SAMPLES["graded"](SAMPLES["scored"]("echo", text, 5))

    assert text not in render("github-summary", report)


def test_words_and_names_stand_as_they_are() -> None:
    report = SAMPLES["graded"](SAMPLES["scored"]("echo", 'fds_per_event: 5 of 12 (a/b), 100%; it\'s "one"!', 5))

    assert "&#" not in render("github-summary", report) and "&quot;" not in render("github-summary", report)


# --- Classroom, Autolab, PrairieLearn -----------------------------------------------------------------------------


@every_report
def test_classrooms_result_fits_into_one_environment_variable(report: str) -> None:
    told = FAILURE("가" * 3_000, "")
    many = [SAMPLES["scored"](f"c{i}", "t" * 90, 1, Outcome.FAILED, failure=told) for i in range(90)]

    assert len(rendered("classroom", report)) < 131_072
    assert len(render("classroom", SAMPLES["graded"](*many))) < 131_072
    assert len(document("classroom", render("classroom", SAMPLES["graded"](*many)))["tests"]) == 90


@every_report
def test_autolabs_parser_leaves_the_last_line_as_it_is(report: str) -> None:
    text = rendered("autolab", report)
    *_, feedback, scores = text.removesuffix("\n").split("\n")

    assert as_autolab_reads(scores) == scores
    (name,) = json.loads(scores)["scores"]
    assert name == from_json(rendered("json", report)).exercise
    stages = json.loads(feedback)
    assert stages["_presentation"] == "semantic"
    for case in stages["Checks"].values():
        assert case["passed"] is True or case["hint"]


def test_the_rule_of_autolabs_parser_breaks_a_line_that_is_not_guarded_against_it() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(as_autolab_reads('{"scores": {"a word: b": 1}}'))


def test_prairielearn_shows_points_only_if_every_test_has_them() -> None:
    tests = document("prairielearn", rendered("prairielearn", "all_outcomes"))["tests"]

    assert all({"points", "max_points"} <= set(test) for test in tests)
    uncounted = [test for test in tests if test["name"] in {"unmeasured", "omitted"}]
    assert [(test["points"], test["max_points"]) for test in uncounted] == [(0, 0), (0, 0)]  # shown in grey


def test_prairielearns_file_stays_below_its_limit() -> None:
    told = FAILURE("가\n" * 9_000, "")
    many = [SAMPLES["scored"](f"c{i}", "t", 1, Outcome.FAILED, failure=told) for i in range(100)]

    assert len(render("prairielearn", SAMPLES["graded"](*many)).encode()) < 1_000_000


def test_a_long_message_is_cut_with_a_notice() -> None:
    check = SAMPLES["scored"]("a", "A", 1, Outcome.FAILED, failure=FAILURE("", "line\n" * 10_000))

    for name in OF_REPORT:
        text = render(name, SAMPLES["graded"](check))
        if name == "classroom":
            text = str(document(name, text))
        assert "more characters" in text, name
        assert len(text) < 50_000, name


# --- strangers ----------------------------------------------------------------------------------------------------


def require_harmless(name: str, text: str) -> None:
    """Nothing in it moves a terminal or commands a runner; and the tool still reads it."""
    categories = {unicodedata.category(character) for character in text.replace("\n", "")}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert "##[" not in text and "##vso[" not in text
    if name == "github":
        assert {kind for kind, _, _ in commands(text)} <= {"error", "notice"}
    else:
        assert not [line for line in text.split("\n") if line.lstrip().startswith("::")]
    if name == "junit":
        ET.fromstring(text)  # well-formed
    if name == "github-summary":
        assert page(text).names <= OUR_TAGS
    if name in AS_JSON:
        inner = document(name, text)
        assert not [one for one in strings(inner) if not all(c == "\n" or c.isprintable() for c in one)]
        assert not [line for one in strings(inner) for line in one.split("\n") if line.lstrip().startswith("::")]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in strings(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", OF_REPORT)
@pytest.mark.parametrize("attack", KIT["ATTACKS"], ids=lambda attack: ascii(attack)[:30])
def test_no_attack_is_obeyed_in_any_text_of_a_report(name: str, attack: str) -> None:
    require_harmless(name, render(name, KIT["hostile"](attack), CONTEXT))
    reason = SAMPLES["UNGRADED"].model_copy(update={"reason": attack, "title": attack, "exercise": attack})
    require_harmless(name, render(name, reason, CONTEXT))


PIECES = "\x1b\r\n\t \x9b\u202e\u200b\ud800:#[]|`<>&'\"\\%,=*_!(){}가e\u0301"


@PATIENT
@given(st.text(st.one_of(st.characters(), st.sampled_from(PIECES)), max_size=200))
def test_no_text_of_a_stranger_is_obeyed_in_any_form(text: str) -> None:
    report = KIT["hostile"](text)
    for name in OF_REPORT:
        require_harmless(name, render(name, report, Context({"a.py": text})))


def test_a_second_report_in_a_message_is_only_text() -> None:
    forged = '"}]}\n{"scores": {"ex03_epoll": 100}}\nresult=eyJzdGF0dXMiOiAicGFzcyJ9'
    check = SAMPLES["scored"]("a", "A", 10, Outcome.FAILED, failure=FAILURE("1", forged))
    report = SAMPLES["graded"](check, exercise="ex03_epoll")

    assert document("autolab", render("autolab", report)) == {"scores": {"ex03_epoll": 0}}
    assert document("classroom", render("classroom", report))["status"] == "fail"
    assert document("gradescope", render("gradescope", report))["score"] == 0


# --- a class: Canvas, Moodle --------------------------------------------------------------------------------------


def result(student: str, report: Report = MEASURED) -> Result:
    return Result(student, report, Path(student, "report.json"))


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), strict=True))


EXPORT = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,epoll loop (77),Bonus (78),Final Score
,,,,,Manual Posting,,
"    Points Possible",,,,,37,5,(read only)
"Kim, Minsu",101,S1,kim@uni.example,A1,3,1,99
"=cmd|x",102,S2,lee,A1,9,,
"Park, Jin",103,S3,park,A2,EX,,
"Student, Test",104,,ffff,A1,,,
"""


def listed(text: str = EXPORT) -> Roster:
    return Roster("roster.csv", text)


def test_canvas_gets_its_columns_and_a_row_for_each_student_with_a_grade() -> None:
    header, points, *students = rows(render_class("canvas", KIT["CLASS"]).text)

    # What the importer wants: Student in the first, ID in the second, Section in the last before the assignments.
    assert header[:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert points[0].strip() == "Points Possible"
    assert points[5:] == ["37", "4"]
    assert students == [["kim", "", "", "kim", "", "12", "4"], ["song", "", "", "song", "", "12", ""]]


@pytest.mark.parametrize("name", ["canvas", "moodle"])
def test_who_has_no_grade_is_named_with_the_reason_and_gets_none(name: str) -> None:
    sheet = render_class(name, KIT["CLASS"])

    assert any(said.startswith("lee@uni.example, ex03_epoll: no grade. There is no verdict") for said in sheet.left_out)
    assert any(said.startswith("park, ex03_epoll: no grade. Only 37 of 39 points") for said in sheet.left_out)
    assert any(said.startswith("song, ex04_io_uring: the cell is ") for said in sheet.left_out)
    assert "lee" not in sheet.text and "park" not in sheet.text


def test_with_a_roster_students_are_found_by_any_id_and_who_is_not_found_is_named() -> None:
    found = [result("KIM@uni.example"), result("S2"), result("103"), result("nobody")]

    sheet = render_class("canvas", found, roster=listed())

    header, points, *students = rows(sheet.text)
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "epoll loop (77)"]
    assert points[5:] == ["37"]
    assert [(row[1], row[5]) for row in students] == [("103", "EX"), ("101", "12"), ("102", "12")]
    assert sheet.left_out == ["nobody: is not in roster.csv, by ID, SIS User ID or SIS Login ID. Rename the folder."]
    assert sheet.notes == [
        "103, ex03_epoll: excused in roster.csv, and stays so.",
        "Student, Test: in roster.csv, but without a grade here.",
    ]


def test_with_a_roster_a_cell_without_a_grade_keeps_its_value() -> None:
    four = SAMPLES["graded"](SAMPLES["BASIC"], exercise="ex04_io_uring", title="reader")

    sheet = render_class("canvas", [result("kim@uni.example"), result("park", four)], roster=listed())

    header, _, *students = rows(sheet.text)
    assert header[5:] == ["epoll loop (77)", "ex04_io_uring"]
    assert students == [
        ["Kim, Minsu", "101", "S1", "kim@uni.example", "A1", "12", ""],
        ["Park, Jin", "103", "S3", "park", "A2", "EX", "4"],
    ]
    assert "ex04_io_uring: roster.csv has no such column. Canvas will offer it as a new assignment." in sheet.notes
    assert "Student, Test: in roster.csv, but without a grade here." in sheet.notes


def test_a_students_own_name_is_no_formula() -> None:
    _, _, row = rows(render_class("canvas", [result("lee")], roster=listed()).text)

    assert row[:2] == ["'=cmd|x", "102"]


def test_a_roster_may_be_separated_by_semicolons_as_some_languages_have_it() -> None:
    text = "Student;ID;SIS Login ID;Section;ex03_epoll (77)\n    Points Possible;;;;37,00\nKim;101;kim;A1;3,5\n"

    assert rows(render_class("canvas", [result("kim")], roster=listed(text)).text)[2][:2] == ["Kim", "101"]


@pytest.mark.parametrize(
    ("text", "students", "said"),
    [
        pytest.param("", ["kim"], "roster.csv:1: this is no gradebook of Canvas", id="empty"),
        pytest.param("name,grade\nkim,1\n", ["kim"], "Export Entire Gradebook", id="another table"),
        pytest.param('Student,ID,Section\n"kim', ["kim"], "roster.csv:2: this is no CSV", id="no CSV"),
        pytest.param(EXPORT.replace("Bonus", "ex03_epoll"), ["park"], "2 columns may be ex03_epoll", id="two columns"),
        pytest.param(
            EXPORT.replace(",37,", ",20,"), ["park"], "is worth 20 points in Canvas and 37", id="other points"
        ),
        pytest.param(EXPORT, ["park", "103"], "are one student in roster.csv", id="two folders of one student"),
    ],
)
def test_a_roster_that_cannot_be_right_is_refused_with_the_cure(text: str, students: Sequence[str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        render_class("canvas", [result(student) for student in students], roster=listed(text))


def test_a_key_that_two_students_have_finds_neither() -> None:
    sheet = render_class("canvas", [result("park")], roster=listed(EXPORT.replace(",S1,", ",park,")))

    assert "park: is 2 students in roster.csv" in " ".join(sheet.left_out)
    assert len(rows(sheet.text)) == 2


def test_moodle_gets_a_grade_and_a_feedback_for_each_exercise_and_a_dash_for_none() -> None:
    header, kim, song = rows(render_class("moodle", KIT["CLASS"]).text)

    assert header == ["Student", "ex03_epoll", "ex03_epoll feedback", "ex04_io_uring", "ex04_io_uring feedback"]
    assert kim[1] == song[1] == "12"
    assert "Not passed: frag, bigreq, rst, api, budget." in kim[2]
    assert song[3] == "-"
    assert song[4].startswith("The submission is refused, and this is no zero: epoll_server.py:12: ")


def test_moodles_feedback_is_html_in_which_nothing_of_a_strangers_is_an_element() -> None:
    check = SAMPLES["scored"]("<script>x</script>", "A", 1, Outcome.FAILED)

    _, row = rows(render_class("moodle", [result("kim", SAMPLES["graded"](check))]).text)

    assert "&lt;script&gt;" in row[2] and "<" not in row[2]


@pytest.mark.parametrize("name", ["canvas", "moodle"])
@pytest.mark.parametrize("student", ["=1+1", "+82", "-x", "@kim", "\uff1dcmd", "0", "-5"])
def test_a_student_whose_name_a_spreadsheet_would_run_is_refused(name: str, student: str) -> None:
    with pytest.raises(UsageError, match="Rename it"):
        render_class(name, [result(student)])


@pytest.mark.parametrize("name", ["canvas", "moodle"])
def test_the_name_of_an_exercise_is_no_formula_either(name: str) -> None:
    header, *_ = rows(render_class(name, [result("kim", SAMPLES["graded"](SAMPLES["BASIC"], exercise="=1+1"))]).text)

    assert "'=1+1" in header and "=1+1" not in header


@pytest.mark.parametrize("name", ["canvas", "moodle"])
def test_unofficial_grades_are_refused_unless_they_are_wanted(name: str) -> None:
    bare = SAMPLES["graded"](SAMPLES["BASIC"], isolation=Isolation.BARE, official=False)
    many = [result(f"s{number}", bare) for number in range(7)]

    with pytest.raises(UsageError, match=r"s0, ex03_epoll: the program was not boxed; .*; and 2 more. .*--unofficial"):
        render_class(name, many)
    sheet = render_class(name, many, unofficial=True)

    assert len(rows(sheet.text)) == 7 + (2 if name == "canvas" else 1)
    assert name == "canvas" or "Not official, because the program was not boxed." in sheet.text


def test_a_partial_report_is_no_grade_even_if_unofficial_ones_are_wanted() -> None:
    sheet = render_class("canvas", [result("kim", REPORTS["bare"])], unofficial=True)

    assert len(rows(sheet.text)) == 2
    assert "Grade the submission again without --only." in sheet.left_out[0]


def test_grades_that_cannot_be_compared_are_told() -> None:
    other: Mapping[str, object] = {"checks_digest": "aa" * 32}
    mixed = [result("kim"), result("lee", MEASURED.model_copy(update=other))]

    assert "made by 2 versions of its checks" in " ".join(render_class("canvas", mixed).left_out)
    with pytest.raises(UsageError, match="worth 37 points in the report of kim and 4 in that of lee"):
        render_class("canvas", [result("kim"), result("lee", SAMPLES["graded"](SAMPLES["BASIC"]))])
