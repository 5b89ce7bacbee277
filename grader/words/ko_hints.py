"""The kit's hints in Korean: what to try, where a failure itself tells. A part of `ko`, of the same form."""

from collections.abc import Mapping
from typing import Final

HINTS: Final[Mapping[str, tuple[str, str]]] = {
    (
        "Look at that line, and at the one above it: a bracket, a quote, a comma or a colon is missing there, "
        "or is one too many. Python {version} grades."
    ): (
        "e1862168",
        "그 줄과 바로 윗줄을 보십시오. 괄호, 따옴표, 쉼표, 콜론 가운데 무언가가 빠졌거나 하나 더 있습니다. "
        "채점하는 버전은 Python {version}입니다.",
    ),
    "Python takes {character} in strings and comments only. Delete it there, or type what you mean anew.": (
        "8bcc211d",
        "이 문자는 문자열과 주석에만 쓸 수 있습니다: {character} 지우거나, 뜻한 것을 다시 입력하십시오.",
    ),
    "Mend what stands outside of all functions: it is run when {file} is imported.": (
        "39706280",
        "함수 밖에 있는 것을 고치십시오. {file} 파일을 import할 때 실행됩니다.",
    ),
    (
        "Nothing may end the program while {file} is imported: no exit(), quit(), sys.exit() or os._exit() "
        'outside of a function. What only tries the program out belongs below `if __name__ == "__main__":`.'
    ): (
        "207bf659",
        "{file} 파일을 import하는 동안 프로그램을 끝내면 안 됩니다. 함수 밖에 exit(), quit(), sys.exit(), "
        'os._exit()를 두지 마십시오. 시험해 보는 코드는 `if __name__ == "__main__":` 아래에 두십시오.',
    ),
    "Nothing is called {name} there: import it, or define it above that line.": (
        "fd525504",
        "그곳에 없는 이름입니다: {name} import하거나, 그 줄보다 위에서 정의하십시오.",
    ),
    (
        "{file} runs alone, with the standard library of Python {version}: no package that pip installs is "
        "there, and no other file of yours. Do without {name}, or put what you need of it into {file}."
    ): (
        "649a1860",
        "{file} 파일은 Python {version} 표준 라이브러리와 함께 혼자 실행됩니다. pip로 설치하는 패키지도, 다른 "
        "파일도 없습니다. 쓸 수 없는 모듈: {name} 쓰지 않거나, 필요한 부분을 {file} 파일에 옮겨 넣으십시오.",
    ),
    (
        "Git has left two versions of some lines, between the marks <<<<<<< and >>>>>>>. Keep the lines that "
        "you want, and delete the others and the marks."
    ): (
        "2c711449",
        "Git이 <<<<<<< 표시와 >>>>>>> 표시 사이에 두 버전의 줄을 남겼습니다. 원하는 줄만 남기고, 나머지 줄과 "
        "표시를 지우십시오.",
    ),
    "This is a command for a notebook, and no Python. Delete that line.": (
        "ee5d7247",
        "노트북의 명령이지 Python이 아닙니다. 그 줄을 지우십시오.",
    ),
    "``` stands around code in a chat or on a page. It is no Python: delete such lines.": (
        "123d0afd",
        "```는 채팅이나 웹 문서에서 코드를 둘러싸는 표시입니다. Python이 아니므로 그런 줄을 지우십시오.",
    ),
    ">>> is what Python itself prints before a line that you type. Delete it.": (
        "cb04269a",
        ">>>는 입력할 줄 앞에 Python이 스스로 출력하는 것입니다. 지우십시오.",
    ),
    (
        "In the braces of an f-string, Python {version} takes no backslash and not the quotes that are around "
        "the string. Use the other quotes there, or a variable."
    ): (
        "281e1dd9",
        "Python {version}에서는 f-string의 중괄호 안에 역슬래시나, 문자열을 둘러싼 것과 같은 따옴표를 쓸 수 "
        "없습니다. 다른 따옴표나 변수를 쓰십시오.",
    ),
    "This is Python 2, and the one that grades is {version}. Call it with parentheses.": (
        "cb5efd18",
        "Python 2의 문법입니다. 채점하는 버전은 {version}입니다. 괄호를 붙여 호출하십시오.",
    ),
    "Put the exceptions into parentheses: except (A, B). Or is it Python 2's: except A as error?": (
        "c81e2891",
        "예외들을 괄호로 묶으십시오: except (A, B). 혹시 Python 2의 문법이라면 except A as error로 쓰십시오.",
    ),
    "Indent with four spaces everywhere: let your editor replace the tabs of the whole file.": (
        "01b105bf",
        "어디서나 공백 네 칸으로 들여쓰십시오. 편집기에서 파일 전체의 탭을 공백으로 바꾸십시오.",
    ),
    (
        "The lines of a block begin in the same column, four spaces further in than the line above it that "
        "ends in a colon. A block that shall be empty needs `pass`."
    ): (
        "8efca65a",
        "블록의 줄들은 콜론으로 끝나는 윗줄보다 공백 네 칸 안쪽의 같은 열에서 시작합니다. 비워 둘 블록에는 "
        "`pass`가 필요합니다.",
    ),
    "That line belongs into a function: indent it as the others in it.": (
        "c9775842",
        "그 줄은 함수 안에 있어야 합니다. 함수의 다른 줄들처럼 들여쓰십시오.",
    ),
    "What is opened there is closed nowhere: add the bracket or the quotes.": (
        "d7cd33ee",
        "그곳에서 연 것을 닫지 않았습니다. 괄호나 따옴표를 더하십시오.",
    ),
    (
        "{character} comes from a word processor, a chat or a page. Python's quotes are ' and \": type those "
        "of that line anew, in your editor."
    ): (
        "c981a035",
        "문서 편집기, 채팅, 웹 문서에서 온 따옴표입니다: {character} Python의 따옴표는 '와 \"입니다. 그 줄의 "
        "따옴표를 편집기에서 다시 입력하십시오.",
    ),
    (
        "{character} is a dash, as word processors and pages have them. Python's minus is -: type it anew, in "
        "your editor."
    ): (
        "256f2891",
        "문서 편집기나 웹 문서에서 쓰는 줄표입니다: {character} Python의 빼기 기호는 -입니다. 편집기에서 다시 "
        "입력하십시오.",
    ),
    (
        "There is a blank in that line that is none of Python's: it comes from a word processor, a chat or a "
        "page. Delete the blanks of that line, and type them anew."
    ): (
        "29bfb91b",
        "그 줄에 Python의 공백이 아닌 공백이 있습니다. 문서 편집기, 채팅, 웹 문서에서 온 것입니다. 그 줄의 "
        "공백을 지우고 다시 입력하십시오.",
    ),
    "{character} is a wide character, of an East Asian keyboard. Switch it to English, and type it anew.": (
        "e76bbb56",
        "전각 문자입니다: {character} 자판을 영문(반각)으로 바꾸고 다시 입력하십시오.",
    ),
    (
        "An import has to come to its end. What serves, waits or runs for ever belongs into a function, and "
        'what only tries the program out below `if __name__ == "__main__":`, at the end of {file}.'
    ): (
        "35d88770",
        "import는 끝나야 합니다. 서비스하거나 기다리거나 끝없이 도는 것은 함수 안에, 시험해 보는 코드는 {file} "
        '파일 끝의 `if __name__ == "__main__":` 아래에 두십시오.',
    ),
    (
        "What stands outside of all functions is run when {file} is imported. Mend that line; what only tries "
        'the program out belongs below `if __name__ == "__main__":`.'
    ): (
        "af51b1e6",
        "함수 밖에 있는 것은 {file} 파일을 import할 때 실행됩니다. 그 줄을 고치십시오. 시험해 보는 코드는 `if "
        '__name__ == "__main__":` 아래에 두십시오.',
    ),
    (
        "That descriptor has been closed already. Unregister before close(), or not at all, and take what you "
        "close out of each list and dict in which it stands."
    ): (
        "5b80c77d",
        "이미 닫힌 디스크립터입니다. 등록 해제는 close()보다 먼저 하거나 하지 마십시오. 닫는 것은 그것이 든 "
        "모든 list와 dict에서 빼십시오.",
    ),
    (
        "{name} is set somewhere in that function, so it is the function's own there, and has no value yet. "
        "Set it before that line; `nonlocal {name}` or `global {name}` says that it is another one's."
    ): (
        "b402ae74",
        "그 함수 어딘가에서 값을 넣으므로 함수 자신의 이름이고, 아직 값이 없습니다: {name} 그 줄보다 먼저 값을 "
        "넣으십시오. 밖의 이름이라면 `nonlocal {name}` 또는 `global {name}`으로 밝히십시오.",
    ),
    "{name} is not there. Did you mean {meant}?": ("cdfd9115", "없는 이름입니다: {name} 혹시 {meant}?"),
    "Write `import {name}` at the top.": ("e15532a8", "파일 맨 위에 `import {name}`을 쓰십시오."),
    (
        "{file} is no part of a package, so no import may begin with a dot. It runs alone: put what you need "
        "of your other files into it."
    ): (
        "bd6f5190",
        "{file} 파일은 패키지의 일부가 아니므로 점으로 시작하는 import를 쓸 수 없습니다. 혼자 실행되므로, 다른 "
        "파일에서 필요한 것은 이 파일에 옮겨 넣으십시오.",
    ),
    ("There is no {name} in that module of Python {version}, which grades. Newer versions may have it: do without."): (
        "53bcd8e5",
        "채점하는 Python {version}의 그 모듈에 없는 이름입니다: {name} 더 새로운 버전에는 있을 수 있습니다. "
        "쓰지 마십시오.",
    ),
    "{name}.py is not handed in: {file} alone is. Put what you need of it into {file}.": (
        "cbec1861",
        "{name}.py 파일은 제출되지 않습니다. {file} 파일만 제출됩니다. 필요한 것을 {file} 파일에 옮겨 넣으십시오.",
    ),
    "There is no module {name}. Did you mean {meant}?": ("6c876cfb", "없는 모듈입니다: {name} 혹시 {meant}?"),
    "This is syntax of Python {since}, and the one that grades is {version}. Write it in the older way.": (
        "d51a020c",
        "Python {since}의 문법입니다. 채점하는 버전은 {version}입니다. 예전 방식으로 쓰십시오.",
    ),
    (
        "Nobody is there to type anything: input() finds the end at once. What is typed comes through the "
        "function's arguments; delete that line."
    ): (
        "03a8a6ad",
        "입력할 사람이 없어서 input()은 곧바로 입력의 끝을 만납니다. 필요한 값은 함수의 인자로 들어옵니다. 그 "
        "줄을 지우십시오.",
    ),
    "{file} runs alone: no other file of yours is there. Do without it.": (
        "9d10e58f",
        "{file} 파일은 혼자 실행됩니다. 다른 파일은 없으므로 쓰지 마십시오.",
    ),
    (
        "Something is None there that should not be: what a function without `return` gives, or a name that "
        "nobody has set yet."
    ): (
        "be8ea64c",
        "None이 아니어야 할 것이 None입니다. `return`이 없는 함수가 준 값이거나, 아직 값을 넣지 않은 이름입니다.",
    ),
    ('What goes through a socket is bytes, not text: write b"\\n", and neither encode nor decode what you get.'): (
        "78501033",
        '소켓을 지나는 것은 텍스트가 아니라 bytes입니다. b"\\n"처럼 쓰고, 받은 것을 인코딩하거나 디코딩하지 마십시오.',
    ),
    "Keep each function's parameters as the stub has them: they are called as the handout's contract says.": (
        "b2811561",
        "함수의 매개변수는 뼈대 코드에 있는 그대로 두십시오. 과제 안내의 계약대로 호출됩니다.",
    ),
    (
        "A heap, and sort(), compare whole entries: where the first elements are equal, the next ones. Put a "
        "number that no two entries share behind what is sorted by: (deadline, next(numbers), task), with "
        "numbers = itertools.count()."
    ): (
        "2fa6b69f",
        "heap과 sort()는 항목 전체를 비교합니다. 첫 원소가 같으면 다음 원소를 비교합니다. 정렬 기준 뒤에 "
        "항목마다 다른 번호를 넣으십시오: (deadline, next(numbers), task). numbers = itertools.count()입니다.",
    ),
    "Nothing may come into a dict or a set, or leave it, while a loop walks it: walk list(...) of it.": (
        "83f76b98",
        "반복문이 dict나 set을 훑는 동안에는 원소를 더하거나 빼면 안 됩니다. list(...)로 만든 복사본을 훑으십시오.",
    ),
    (
        "A call on a non-blocking socket that cannot be done now raises BlockingIOError. Catch it, keep what "
        "is not done yet, and go on when the socket is ready."
    ): (
        "018954a9",
        "논블로킹 소켓에서 지금 할 수 없는 호출은 BlockingIOError를 일으킵니다. 예외를 잡고, 남은 일을 "
        "간직했다가, 소켓이 준비되면 이어서 하십시오.",
    ),
    (
        "recv() and send() raise {exception} when a client is gone. Catch it, close that connection, forget "
        "all that you know of it, and go on with the others."
    ): (
        "0422db26",
        "클라이언트가 사라지면 recv()와 send()가 예외를 일으킵니다: {exception} 예외를 잡아 그 연결을 닫고, 그 "
        "연결에 관한 것을 모두 버린 뒤, 다른 연결을 계속 처리하십시오.",
    ),
    "Take it out, and write yourself what it would do for you: that is the exercise.": (
        "de4cdad1",
        "그것을 빼고, 그것이 해 줄 일을 직접 작성하십시오. 그것이 이 과제입니다.",
    ),
    (
        "The handout, README.md, shows a way through: in which order to write them, and which checks look at "
        "what. Write each in the place of its `raise NotImplementedError()`."
    ): (
        "bd1cc3e0",
        '과제 안내(README.md)의 "A way through"에 어떤 순서로 작성하고 어떤 검사가 무엇을 보는지 나와 '
        "있습니다. 각 함수의 `raise NotImplementedError()` 자리에 작성하십시오.",
    ),
    "Write it in the place of its `raise NotImplementedError()`.": (
        "1b17a998",
        "`raise NotImplementedError()` 자리에 작성하십시오.",
    ),
}
