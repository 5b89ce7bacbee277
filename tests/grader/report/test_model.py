"""A report cannot contradict itself, and one without a verdict cannot be read as a zero."""

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from grader.report import model as report
from grader.report.model import Check, Graded, Outcome, Report, ScoredCheck, Ungraded
from places import TESTS

SAMPLES: dict[str, Any] = runpy.run_path(str(TESTS / "golden" / "regenerate.py"))
REPORTS: dict[str, Report] = SAMPLES["REPORTS"]
SCHEMA: Path = SAMPLES["SCHEMA"]

each_report = pytest.mark.parametrize("sample", REPORTS.values(), ids=REPORTS)


def keys(value: object) -> Iterator[str]:
    match value:
        case dict():
            yield from value
            for inner in value.values():
                yield from keys(inner)
        case list():
            for inner in value:
                yield from keys(inner)


def check(outcome: Outcome, **more: object) -> dict[str, Any]:
    told: dict[str, object] = SAMPLES["because"](outcome)
    return {"name": "many", "title": "Many", "points": 5, "outcome": outcome, "duration_s": 0.1} | told | more


@each_report
def test_a_report_comes_back_from_its_json_as_it_was(sample: Report) -> None:
    assert report.from_json(report.to_json(sample)) == sample


@each_report
def test_a_report_is_what_the_published_schema_describes(sample: Report) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(report.to_json(sample)))


def test_the_published_schema_is_current() -> None:
    cure = (
        "run `python tests/grader/golden/regenerate.py`, read the difference; another form is another `schema` version"
    )
    assert SCHEMA.read_text(encoding="utf-8") == report.json_schema_text(), cure


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param({"score": "twelve"}, id="a score that is a word"),
        pytest.param({"graded": False}, id="a score in a report without a verdict"),
        pytest.param({"schema": "tracegrade/report/x"}, id="another version"),
        pytest.param({"isolation": "perfect"}, id="a level that does not exist"),
        pytest.param({"note": ""}, id="a key that does not exist"),
    ],
)
def test_neither_the_schema_nor_the_reader_takes_a_spoilt_report(spoilt: dict[str, Any]) -> None:
    value = json.loads(report.to_json(REPORTS["failing"])) | spoilt

    assert not jsonschema.Draft202012Validator(report.json_schema()).is_valid(value)
    with pytest.raises(ValueError, match="validation error"):
        report.from_json(json.dumps(value))


def test_a_report_says_its_schema_first() -> None:
    first = next(iter(json.loads(report.to_json(REPORTS["failing"])).items()))

    assert first == ("schema", "tracegrade/report/2")


@pytest.mark.parametrize(("version", "cure"), [(1, "Grade the submission again"), (3, "Update this kit")])
def test_another_version_of_the_schema_is_refused_with_what_to_do(version: int, cure: str) -> None:
    text = report.to_json(REPORTS["full_pass"]).replace("tracegrade/report/2", f"tracegrade/report/{version}")

    with pytest.raises(report.OtherVersion, match=f"of version {version}, and this kit reads version 2. {cure}"):
        report.from_json(text)


def of_version_1(*checks: dict[str, Any], **more: Any) -> str:
    common = json.loads(report.to_json(REPORTS["full_pass"]))
    for key in ("language", "graded_at", "submission_digest", "score", "max_score", "measurable_score", "partial"):
        del common[key]
    return json.dumps(common | {"schema": "tracegrade/report/1", "checks": checks} | more)


def check_1(outcome: str, message: str, score: int | None) -> dict[str, Any]:
    keys = {"name": outcome, "title": "T", "points": 5, "outcome": outcome, "message": message, "duration_s": 0.1}
    return keys | {"measurements": [], "score": score}


def test_a_report_of_version_1_is_read_as_what_it_says() -> None:
    checks = [check_1("passed", "", 5), check_1("timed_out", "too slow", 0), check_1("unmeasured", "", None)]
    sums = {"score": 5, "max_score": 15, "measurable_score": 10, "partial": False}

    read = report.from_json(of_version_1(*checks, **sums))

    assert isinstance(read, Graded) and (read.score, read.official, read.graded_at) == (5, True, None)
    assert [one.message("en") for one in read.checks] == [
        "", "seen: too slow", "a report of version 1 does not say why",
    ]  # fmt: skip
    lost = report.from_json(of_version_1(graded=False, reason="The machine went down."))
    assert isinstance(lost, Ungraded) and lost.reason == "The machine went down."


@pytest.mark.parametrize("odd", [{"checks": None}, {"checks": [{}]}, {"isolation": "guarded"}, {"note": ""}])
def test_what_is_not_exactly_of_version_1_is_guessed_at_by_nobody(odd: dict[str, Any]) -> None:
    with pytest.raises(report.OtherVersion, match="Grade the submission again"):
        report.from_json(of_version_1(**{"graded": False, "reason": "it rained"} | odd))


@pytest.mark.parametrize("text", ["", "{}", "null", b"\xff", '{"graded": null}', '{"graded": true}'])
def test_what_is_not_a_report_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        report.from_json(text)


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ("score", "the score is not the sum"),
        ("max_score", "the maximum is not the sum"),
        ("measurable_score", "the measurable score is not the sum"),
    ],
)
@pytest.mark.parametrize("by", [1, -1])
def test_sums_that_do_not_agree_are_refused(field: str, complaint: str, by: int) -> None:
    value = json.loads(report.to_json(REPORTS["failing"]))
    value[field] += by

    with pytest.raises(ValueError, match=complaint):
        report.from_json(json.dumps(value))


@pytest.mark.parametrize(
    ("outcome", "score"),
    [
        (outcome, {Outcome.PASSED: 5, Outcome.UNMEASURED: None, Outcome.OMITTED: None}.get(outcome, 0))
        for outcome in Outcome
    ],
)
def test_the_score_of_a_check_follows_from_its_outcome(outcome: Outcome, score: int | None) -> None:
    made = ScoredCheck.model_validate(check(outcome, score=score))

    assert made.score == score
    for wrong in {0, 1, 5, None} - {score}:
        with pytest.raises(ValueError, match=f"a {outcome} check scores {score}, not {wrong}"):
            ScoredCheck.model_validate(check(outcome, score=wrong))


@pytest.mark.parametrize("outcome", [Outcome.UNMEASURED, Outcome.OMITTED])
def test_what_does_not_count_is_neither_points_nor_a_failure(outcome: Outcome) -> None:
    sample = SAMPLES["graded"](SAMPLES["scored"]("basic", "Basic", 4), SAMPLES["scored"]("c10k", "Many", 2, outcome))

    assert (sample.score, sample.measurable_score, sample.max_score) == (4, 4, 6)
    assert sample.passed


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome.loses_points])
def test_any_other_outcome_means_that_not_all_passed(outcome: Outcome) -> None:
    sample = SAMPLES["graded"](SAMPLES["scored"]("basic", "Basic", 4), SAMPLES["scored"]("many", "Many", 0, outcome))

    assert not sample.passed


def test_an_ungraded_report_has_no_score_anywhere() -> None:
    sample = REPORTS["ungraded"]
    assert isinstance(sample, Ungraded)
    assert sample.checks

    assert not [key for key in keys(json.loads(report.to_json(sample))) if "score" in key]
    assert not hasattr(sample, "score")
    assert not hasattr(sample.checks[0], "score")


def test_not_even_checks_that_have_scores_bring_one_into_an_ungraded_report() -> None:
    scored = ScoredCheck.model_validate(check(Outcome.PASSED, score=5))
    sample = REPORTS["ungraded"].model_copy(update={"checks": (scored,)})

    text = report.to_json(sample)

    assert "score" not in set(keys(json.loads(text)))
    assert report.from_json(text).checks == (Check.model_validate(check(Outcome.PASSED)),)


@pytest.mark.parametrize("sample", ["full_pass", "ungraded"])
def test_reports_do_not_change(sample: str) -> None:
    with pytest.raises(ValueError, match="frozen"):
        REPORTS[sample].seed = 1


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_a_check_says_follows_from_its_outcome(outcome: Outcome) -> None:
    failure, reason = SAMPLES["failure"]("a", "b"), "because"
    wanted = (outcome.failed, not outcome.failed and outcome is not Outcome.PASSED)

    for told in ((False, False), (True, False), (False, True), (True, True)):
        value = check(outcome, failure=failure if told[0] else None, reason=reason if told[1] else "")
        if told == wanted:
            Check.model_validate(value)
        else:
            with pytest.raises(ValueError, match="check many: only a check that"):
                Check.model_validate(value)


def test_only_what_counts_can_fail_and_only_what_counts_loses_points() -> None:
    assert all(outcome.counts for outcome in Outcome if outcome.failed or outcome.loses_points)
    assert [outcome.value for outcome in Outcome if outcome.counts and not outcome.loses_points] == ["passed"]
    assert len({outcome.letter for outcome in Outcome}) == len({outcome.mark for outcome in Outcome}) == len(Outcome)
