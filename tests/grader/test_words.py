"""Sentences can be told in another language, and none of the kit's own is untranslated, stale or said no more."""

import shutil
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import grader
from grader.course.load import load_course
from grader.course.model import Exercise
from grader.course.text import Text
from grader.errors import CourseError
from grader.prove.translated import lacking, languages_of
from grader.report.model import Outcome
from grader.words import languages
from grader.words.found import NotWrittenOut, said
from grader.words.languages import KIT_LANGUAGES, Language, digest, language, sentences
from grader.words.say import Words, say
from gradings import CHECKS, COURSE, EXERCISE, TINY

KIT = Path(grader.__file__).parent
each_language = pytest.mark.parametrize("code", KIT_LANGUAGES)


def places(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def sentences_of_the_kit() -> Iterator[str]:
    for file in sorted(KIT.rglob("*.py")):
        yield from said(file.read_text(encoding="utf-8"), str(file))


KOREAN = Language("ko", {"{count} ran": "횟수: {count}", "{rule}. Here, {what}": "{rule}. 여기서는 {what}", "a": "가"})


# --- one sentence -------------------------------------------------------------------------------------------------


def test_words_are_their_english_wherever_text_goes() -> None:
    words = say("{count:,} callbacks ran", count=1234)

    assert words == "1,234 callbacks ran" == str(words) == f"{words}"
    assert f"{words}!" == "1,234 callbacks ran!"
    assert (words.template, dict(words.values)) == ("{count:,} callbacks ran", {"count": 1234})


def test_words_are_told_in_a_language_that_has_them_and_else_in_english() -> None:
    assert KOREAN.tell(say("{count} ran", count=3)) == "횟수: 3"
    assert KOREAN.tell(say("{count} stayed", count=3)) == "3 stayed"


def test_words_within_words_are_told_too_and_plain_text_stays_what_it_is() -> None:
    told = KOREAN.tell(say("{rule}. Here, {what}", rule=say("a"), what=say("{count} ran", count=1)))

    assert told == "가. 여기서는 횟수: 1"
    assert KOREAN.tell("a") == "a"
    assert KOREAN.tell(say("{rule}. Here, {what}", rule="{count} ran", what="{}")) == "{count} ran. 여기서는 {}"


def test_a_sentence_without_a_value_for_its_place_is_a_mistake_where_it_is_said() -> None:
    with pytest.raises(KeyError, match="count"):
        say("{count} ran")


def test_words_do_not_change() -> None:
    words = say("{count} ran", count=3)

    with pytest.raises(TypeError):
        words.values["count"] = 4  # type: ignore[index]
    assert isinstance(words, Words)


def test_an_exercises_own_words_stand_beside_the_kits() -> None:
    own = language("ko", {"a": "가"})

    assert own.tell(say("a")) == "가"
    assert own.tell(say("expected:")) == language("ko").tell(say("expected:")) != "expected:"
    assert language("en").tell(say("expected:")) == language("xx").tell(say("expected:")) == "expected:"


def test_a_translation_of_another_english_text_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "sentences", lambda _code: {"a": (digest("a"), "가"), "b": (digest("a"), "나")})
    languages._kits.cache_clear()
    try:
        assert [language("zz").tell(say(text)) for text in ("a", "b")] == ["가", "b"]
    finally:
        languages._kits.cache_clear()


def test_where_lines_are_broken_is_no_other_text() -> None:
    assert digest("a b\n c") == digest("a b c") != digest("a bc")


# --- an exercise's ------------------------------------------------------------------------------------------------


def written(text: str) -> Text:
    return Text.model_validate(yaml.safe_load(text))


def test_a_translation_is_read_as_long_as_its_english_is_the_same() -> None:
    text = written(f"{{en: Two lines, ko@{digest('Two lines')}: 두 줄}}")

    assert (text.in_("ko"), text.in_("en"), text.in_("fr")) == ("두 줄", "Two lines", "Two lines")
    assert written(f"{{en: Three lines, ko@{digest('Two lines')}: 두 줄}}").in_("ko") == "Three lines"
    assert written("{en: Three lines, ko: 세 줄}").in_("ko") == "세 줄"


@pytest.mark.parametrize("key", ["ko@", "ko@12", "ko@ABCDEF01", "en@x"])
def test_a_digest_is_eight_digits(key: str) -> None:
    with pytest.raises(ValueError, match="is not a language's code"):
        Text.model_validate({"en": "a", key: "b"})


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[[str, str], Exercise]:
    """The tiny exercise with these words in exercise.yaml, and this at the end of its checks."""

    def make(words: str, checks: str = "") -> Exercise:
        shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
        (tmp_path / "course.yaml").write_text((TINY / "course.yaml").read_text().replace("[en]", "[en, ko]"))
        file = tmp_path / EXERCISE
        file.write_text(file.read_text() + words)
        (tmp_path / CHECKS).write_text((TINY / CHECKS).read_text() + checks)
        return load_course(tmp_path).exercises[0]

    return make


SAYS = "\nfrom grader.checks import say\nTOLD = say('{count} ran', count=1)\n"


def test_what_checks_say_is_translated_in_exercise_yaml(tiny: Callable[[str, str], Exercise]) -> None:
    words = f'words:\n  - {{en: "{{count}} ran", ko@{digest("{count} ran")}: "횟수: {{count}}"}}\n'

    exercise = tiny(words, SAYS)

    assert exercise.speaking("ko").tell(say("{count} ran", count=2)) == "횟수: 2"
    assert exercise.speaking("en").tell(say("{count} ran", count=2)) == "2 ran"
    assert not [line for line in lacking(exercise, "ko") if line.startswith("words")]


def test_what_is_untranslated_stale_or_said_no_more_is_told_with_its_key(
    tiny: Callable[[str, str], Exercise],
) -> None:
    words = "words:\n  - {en: Gone, ko@00000000: 옛말}\n"

    told = list(lacking(tiny(words, SAYS), "ko"))

    assert f"words.0: stale, for the English text has changed; look at it again, and write ko@{digest('Gone')}" in told
    assert f"words: the checks say '{{count}} ran'; write it, and ko@{digest('{count} ran')}" in told
    assert "words: no check says 'Gone' any more; take it out" in told
    assert any(line.startswith("checks.echo.title: untranslated; write ko@") for line in told)


@pytest.mark.parametrize("ko", ["횟수", "횟수: {number}", "횟수: {count"])
def test_a_translation_that_has_other_places_is_the_authors_mistake(
    tiny: Callable[[str, str], Exercise], ko: str
) -> None:
    with pytest.raises(CourseError, match=r"exercise\.yaml:\d+: "):
        tiny(f'words:\n  - {{en: "{{count}} ran", ko: "{ko}"}}\n', "")


@pytest.mark.parametrize("slug", ["ex01_callbacks"])
def test_these_exercises_are_whole_in_korean(slug: str) -> None:
    (exercise,) = load_course(COURSE, only=slug).exercises

    assert languages_of(exercise) == {"ko"}
    assert list(lacking(exercise, "ko")) == []


def test_an_exercise_that_nobody_translates_lacks_nothing() -> None:
    (exercise,) = load_course(COURSE, only="ex02").exercises

    assert languages_of(exercise) == frozenset()


# --- the kit's own ------------------------------------------------------------------------------------------------


def test_the_kit_says_its_marks_and_labels_in_words() -> None:
    found = set(sentences_of_the_kit())

    assert {outcome.mark.template for outcome in Outcome} <= found
    assert {"expected:", "seen:", "try:", "Score {score:,} of {most:,}"} <= found


@each_language
def test_each_sentence_of_the_kit_is_translated(code: str) -> None:
    missing = {text: digest(text) for text in sentences_of_the_kit() if text not in sentences(code)}

    assert not missing, f"write these into grader/words/{code}.py, each with this digest"


@each_language
def test_no_translation_is_stale(code: str) -> None:
    stale = {english: digest(english) for english, (of, _) in sentences(code).items() if of != digest(english)}

    assert not stale, f"look at these in grader/words/{code}.py again; then give them this digest"


@each_language
def test_no_translation_is_of_what_is_said_no_more(code: str) -> None:
    assert not set(sentences(code)) - set(sentences_of_the_kit()), f"take these out of grader/words/{code}.py"


@each_language
def test_a_translation_has_the_places_of_its_english(code: str) -> None:
    wrong = [english for english, (_, text) in sentences(code).items() if places(english) != places(text)]

    assert not wrong


def test_a_sentence_is_written_out_where_it_is_said() -> None:
    source = "from grader.words.say import say\nsay(text)\n"

    with pytest.raises(NotWrittenOut, match=r"here\.py:2"):
        list(said(source, "here.py"))


def test_who_calls_another_function_so_says_nothing() -> None:
    assert not list(said("def say(line): print(line)\nsay('a')\n", "here.py"))
    assert list(said("from grader.checks import say\nsay('a {b}', b=1)\n", "here.py")) == ["a {b}"]
