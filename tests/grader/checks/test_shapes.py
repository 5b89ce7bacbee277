"""Declared shapes of answers: what fits, what does not, and how that is told."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal
from typing import TypedDict as TypingsTypedDict

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from grader.checks.shapes import Plain, fitting, fitting_question, is_loose
from grader.errors import GraderError
from grader.failures import Crashed

if TYPE_CHECKING:
    from decimal import Decimal
    from types import ModuleType


class Told(TypedDict):
    values: list[int]
    errors: list[tuple[str, bool]]


def tells() -> Told: ...  # type: ignore[empty-body]


def pairs() -> list[tuple[int, bool]]: ...  # type: ignore[empty-body]


def number() -> int: ...  # type: ignore[empty-body]


def real() -> float: ...  # type: ignore[empty-body]


def text() -> "str": ...  # type: ignore[empty-body]


def nothing() -> None: ...


def perhaps() -> list[int | None]: ...  # type: ignore[empty-body]


def word() -> Literal["yes", "no"]: ...  # type: ignore[empty-body]


def small() -> Annotated[int, Field(ge=0, lt=10)]: ...  # type: ignore[empty-body]


def by_name() -> dict[str, list[int]]: ...  # type: ignore[empty-body]


def plain() -> dict[str, Plain]: ...  # type: ignore[empty-body]


def anything() -> Any: ...


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (tells, {"values": [1, -(2**63), 2**64 - 1], "errors": [["x", True]]}),
        (tells, {"values": [], "errors": []}),
        (pairs, [[1, True], [0, False]]),
        (number, 7),
        (real, 0.5),
        (real, 2),
        (text, "서버 \x00 \U0001f600"),
        (nothing, None),
        (perhaps, [1, None]),
        (word, "no"),
        (small, 9),
        (by_name, {"": [1], "b": []}),
        (plain, {"a": None, "b": True, "c": 1, "d": 0.5, "e": "x"}),
        (anything, {"a": [1, {"b": None}]}),
    ],
)
def test_what_fits_comes_through_as_it_is(function: Callable[[], Any], value: Any) -> None:
    assert fitting(function, value) is value


DEEP: list[Any] = []
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("function", "value", "seen"),
    [
        (number, True, "True"),
        (number, 1.0, "1.0"),
        (number, "1", "'1'"),
        (number, None, "None"),
        (number, 2**64, "a number of more than 64 bits"),
        (number, -(2**63) - 1, "a number of more than 64 bits"),
        (real, False, "False"),
        (nothing, 0, "0"),
        (text, "\ud800x", "text that is no Unicode: '\\ud800x'"),
        (text, 1, "1"),
        (text, ["x" * 300], "['" + "x" * 198 + "..."),
        (word, "perhaps", "'perhaps'"),
        (small, 10, "10"),
        (perhaps, [1, None, "2"], "'2' at [2]"),
        (pairs, [[1, True], [1]], "[1] at [1]"),
        (pairs, [[1, True], [1, 1]], "1 at [1][1]"),
        (pairs, {}, "{}"),
        (pairs, [[None]], "None at [0][0]"),
        (tells, {"values": [1]}, "{'values': [1]}"),
        (tells, {"values": [True], "errors": []}, "True at ['values'][0]"),
        (tells, {"values": [], "errors": [["\udfff", True]]}, "text that is no Unicode: '\\udfff'"),
        (by_name, {"a": [1], "\ud800": []}, "text that is no Unicode: '\\ud800'"),
        (by_name, {"a": {"b": 2**70}}, "a number of more than 64 bits"),
        (plain, {"a": []}, "[] at ['a']"),
        (anything, DEEP, "lists within lists, more than 32 deep"),
        (anything, {"a": [2**80]}, "a number of more than 64 bits"),
        (pairs, [0] * 60_000, "more than 50,000 values"),
        (by_name, {"a": [[]] * 60_000}, "more than 50,000 values"),
    ],
)
def test_what_does_not_fit_has_crashed_and_its_place_is_told(
    function: Callable[[], Any], value: Any, seen: str
) -> None:
    with pytest.raises(Crashed) as caught:
        fitting(function, value)

    assert caught.value.seen == seen
    assert caught.value.expected.startswith("an answer of the form ")


def test_the_form_is_told_in_the_words_of_its_author() -> None:
    forms = {"Told": tells, "list[tuple[int, bool]]": pairs, "str": text, "list[int | None]": perhaps}

    for form, function in forms.items():
        with pytest.raises(Crashed) as caught:
            fitting(function, 1)
        assert caught.value.expected == f"an answer of the form {form}"


def test_a_question_is_held_to_the_parameter_that_takes_it() -> None:
    class Kernel:
        def answer(self, question: list[int]) -> str:
            return str(question)

    def unseen(question: tuple[int, str], _more: int = 0) -> int:
        return question[0]

    assert fitting_question(Kernel().answer, [1]) == [1]
    assert fitting_question(unseen, [1, "x"]) == [1, "x"]
    with pytest.raises(Crashed, match=r"a question of the form list\[int\]; seen 'x' at \[0\]"):
        fitting_question(Kernel().answer, ["x"])
    with pytest.raises(Crashed, match=r"a question of the form tuple\[int, str\]"):
        fitting_question(unseen, [1, 1])


def test_names_that_only_a_type_checker_sees_may_stand_beside_the_answer_but_not_in_it() -> None:
    def beside(_student: "ModuleType", _count: "Decimal") -> "list[int]": ...  # type: ignore[empty-body]

    def within() -> "list[Decimal]": ...  # type: ignore[empty-body]

    assert fitting(beside, [1]) == [1]
    with pytest.raises(GraderError, match=r"test_shapes.py:[0-9]+: within declares list\[Decimal\]: .* Import it"):
        fitting(within, [])


def test_what_pydantic_takes_for_no_shape_is_the_authors_mistake() -> None:
    class Stranger:
        pass

    def strange() -> Stranger: ...  # type: ignore[empty-body]

    with pytest.raises(GraderError, match=r"strange declares .*Stranger, which is no shape: "):
        fitting(strange, 1)


class Older(TypingsTypedDict):
    number: int


def older() -> Older: ...  # type: ignore[empty-body]


def test_the_cure_for_a_typed_dict_of_the_wrong_module_is_told_where_there_is_one() -> None:
    try:
        assert fitting(older, {"number": 1})
    except GraderError as error:  # Python 3.11
        assert "typing_extensions.TypedDict" in str(error)


class Loose(TypedDict):
    good: int
    bad: object


def loose_ones() -> list[Callable[[], Any]]:
    def undeclared():  # type: ignore[no-untyped-def]
        pass

    def whatever() -> object: ...

    def a_list() -> list: ...  # type: ignore[type-arg, empty-body]

    def a_dict() -> dict[str, Any]: ...  # type: ignore[empty-body]

    def deep() -> list[tuple[int, dict[str, list[object] | None]]]: ...  # type: ignore[empty-body]

    def a_class() -> list[Loose]: ...  # type: ignore[empty-body]

    return [undeclared, anything, whatever, a_list, a_dict, deep, a_class]


@pytest.mark.parametrize("function", loose_ones(), ids=lambda function: function.__name__)
def test_a_shape_that_lets_anything_through_is_loose(function: Callable[[], Any]) -> None:
    assert is_loose(function)


@pytest.mark.parametrize(
    "function",
    [tells, pairs, number, real, text, nothing, perhaps, word, small, by_name, plain],
    ids=lambda f: f.__name__,
)
def test_a_shape_that_says_what_it_is_is_not_loose(function: Callable[[], Any]) -> None:
    assert not is_loose(function)
