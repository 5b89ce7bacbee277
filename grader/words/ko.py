"""The kit's own sentences in Korean, by their English text; each with the digest of the English that was translated.

The course's words for things stand in its glossary. Where a name or a number is inserted, no particle follows it.
"""

from collections.abc import Mapping
from typing import Final

from grader.words.ko_hints import HINTS

SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    **HINTS,
    "expected:": ("749034ea", "기대:"),
    "seen:": ("d9645354", "결과:"),
    "try:": ("8761c2f5", "시도:"),
    "an assertion failed": ("82595972", "assert 문이 실패했습니다"),
    "the check to end": ("08f5b9d0", "검사가 끝나는 것"),
    "no end after {seconds:.0f} seconds": ("fa8cfd8d", "{seconds:.0f}초가 지나도 끝나지 않음"),
    "needs {checks}": ("f260d12b", "먼저 통과할 검사: {checks}"),
    "Optional, as is {checks}.": ("c2b34eae", "선택 과제입니다. 관련 검사: {checks}"),
    "Needs {checks}, which this machine cannot measure.": (
        "93a2925f",
        "이 컴퓨터에서 측정할 수 없는 검사가 먼저 필요합니다: {checks}",
    ),
    "The check has compared nothing with {budgets}.": (
        "ac18697e",
        "검사가 비교하지 않은 예산: {budgets}",
    ),
    "ok": ("2689367b", "통과"),
    "FAIL": ("425305e2", "실패"),
    "TIME": ("5888675d", "시간 초과"),
    "CRASH": ("6f93481f", "비정상"),
    "FORBIDDEN": ("1bf39038", "금지"),
    "not run": ("b4a98437", "미실행"),
    "unmeasured": ("e3bebb41", "측정 불가"),
    "omitted": ("f34912a1", "미제출"),
    "Outcome": ("4e80abb5", "판정"),
    "Check": ("9d60841e", "검사"),
    "Points": ("77deabe2", "점수"),
    "Seen": ("8894cf30", "결과"),
    "Limit": ("674b0ed5", "한도"),
    "Ref.": ("81799655", "기준"),
    "Naive": ("96a4bbb6", "실수"),
    "over": ("5fb6a47e", "초과"),
    "Ref. is the reference solution's figure, naive the well-known mistake's.": (
        "acf3f87b",
        "기준은 기준 풀이의 값이고, 실수는 흔한 실수의 값입니다.",
    ),
    "Score {score:,} of {most:,}": ("dea055f3", "점수: {most:,}점 중 {score:,}점"),
    (
        "{measurable:,} of {most:,} points are measurable here. Unmeasured checks are "
        "neither points nor a zero: grade them on another machine."
    ): (
        "fc351ab4",
        "이 컴퓨터에서는 {most:,}점 중 {measurable:,}점을 측정할 수 있습니다. 측정하지 못한 "
        "검사는 득점도 0점도 아닙니다. 다른 컴퓨터에서 채점하십시오.",
    ),
    "Isolation:": ("315440b6", "격리:"),
    "not proven: it broke before that": ("3d4a6616", "확인되지 않음: 그 전에 중단되었습니다"),
    "- missing: {protection}": ("b9c5ee9c", "- 없는 보호: {protection}"),
    "Official:": ("5a61d12e", "공식:"),
    "yes": ("8a798890", "예"),
    "no, because {why}": ("af48de00", "아니요. 이유: {why}"),
    "the program was not boxed": ("82a15d2d", "프로그램이 상자 안에서 실행되지 않았습니다"),
    "only some of the checks were run": ("3c864324", "일부 검사만 실행했습니다"),
    "the program was not boxed and only some of the checks were run": (
        "06a0044e",
        "프로그램이 상자 안에서 실행되지 않았고, 일부 검사만 실행했습니다",
    ),
    "these are not the course's own checks": ("41af4b17", "이 강의의 검사가 아닙니다"),
    "Sizes:": ("ba9fa7e5", "크기:"),
    "hidden, the instructor's own": ("9576c40f", "숨은 크기(강사용)"),
    "Seed:": ("b784ffe8", "시드:"),
    "{seed}; to repeat this run, add --seed {seed} to the command": (
        "fcfccad7",
        "{seed}. 같은 채점을 되풀이하려면 명령에 --seed {seed} 옵션을 붙이십시오",
    ),
    "Ignored:": ("3bb42dfe", "제외:"),
    "{files}; not part of the exercise": ("f978b8bd", "{files} (과제에 속하지 않음)"),
    "{files} and {count:,} more": ("71f5a6bb", "{files} 외 {count:,}개"),
    "NO VERDICT: {name}": ("6055f143", "판정 없음: {name}"),
    "Nobody got a zero: this run has no score at all.": (
        "23371ae1",
        "0점이 아닙니다. 이번 채점에는 점수가 없습니다.",
    ),
    ("What to do: remove the cause, then type the same command again. `grade doctor` says what this machine lacks."): (
        "d155dcd1",
        "할 일: 원인을 없앤 뒤 같은 명령을 다시 입력하십시오. 이 컴퓨터에 없는 것은 `grade doctor` 명령이 알려 줍니다.",
    ),
    "REFUSED: {name}": ("b83686a3", "채점 거부: {name}"),
    "NOTHING HANDED IN: {name}": ("88555bb0", "제출물 없음: {name}"),
    "Not graded, and no zero: this run has no score at all.": (
        "5c3cd643",
        "채점하지 않았고, 0점이 아닙니다. 이번 채점에는 점수가 없습니다.",
    ),
    "What to do: {cure} Then type the same command again.": (
        "1e6ca765",
        "할 일: {cure} 그런 다음 같은 명령을 다시 입력하십시오.",
    ),
    "exit status {code}": ("9d1b9903", "종료 코드 {code}"),
    "signal {name}": ("47d53138", "시그널 {name}"),
    "it still runs, but closed its channel": ("5e56d957", "아직 실행 중이지만 채널을 닫았습니다"),
    "the box did not introduce itself": ("015f930f", "상자가 응답하지 않았습니다"),
    "signal SIGXFSZ: a trace of its system calls has more than {most} MiB": (
        "32f978cb",
        "시그널 SIGXFSZ: 시스템 콜 추적 기록이 {most} MiB를 넘었습니다",
    ),
    "the program has ended": ("488a7fbc", "프로그램이 끝났습니다"),
    "the program does not read its channel": ("6aa18903", "프로그램이 채널을 읽지 않습니다"),
    "the program has closed its channel": ("d554f1a0", "프로그램이 채널을 닫았습니다"),
    "a message of {size:,} bytes came out of the box": (
        "e0c1629a",
        "상자에서 {size:,}바이트짜리 메시지가 나왔습니다",
    ),
    "what came out of the box is not a message": (
        "9dee8ea9",
        "상자에서 메시지가 아닌 것이 나왔습니다",
    ),
    "{value:,.6g} {unit}": ("ea0f355e", "{value:,.6g} {unit}"),
    "{value}, the least of {takes} takes": ("a18e0efa", "{value} ({takes}번 측정한 값 중 최솟값)"),
    "at most {limit:g} {unit}: {formula} ({why})": (
        "69e4517d",
        "{limit:g} {unit} 이하: {formula} ({why})",
    ),
    "{least}; the reference needs {reference:g}": (
        "9a59e198",
        "{least}. 기준 풀이의 값: {reference:g}",
    ),
    "the program garbled its last words": (
        "33734e5a",
        "프로그램의 마지막 메시지를 읽을 수 없습니다",
    ),
    "{library} is not allowed here: {reason}": (
        "337d52b4",
        "이 과제에서 쓸 수 없는 모듈: {library}. 이유: {reason}",
    ),
    "a solution without it": ("e9b8acaa", "그것을 쓰지 않는 풀이"),
    "{what} {error}": ("64e97289", "{what}: {error}"),
    "{what}: {how}": ("9b9dcc9c", "{what}: {how}"),
    "{rule}, in every run": ("dbe9142d", "모든 실행에서 지킬 규칙: {rule}"),
    "{call}, in a run of the check {check}": ("4f5f6f45", "호출: {call}, 실행한 검사: {check}"),
    "{call} although {most} were there already, in a run of the check {check}": (
        "af847d18",
        "호출: {call}, 이미 있던 개수: {most}, 실행한 검사: {check}",
    ),
    "{entry} raised": ("bf3149e8", "예외 발생 위치: {entry}"),
    "the program says {word!r}": ("d1a39ab4", "프로그램이 보낸 뜻밖의 메시지: {word!r}"),
    "the program ended with {how}": ("0f29cfb4", "프로그램이 끝났습니다: {how}"),
    "process {pid} has ended": ("bfaef63d", "프로세스 {pid}번이 끝났습니다"),
    "an answer": ("ee955518", "응답"),
    "a question": ("32303716", "질문"),
    "nothing: the program has stopped itself": ("bc44ceae", "없음: 프로그램이 스스로 멈췄습니다"),
    "nothing: the program sleeps in {place}": (
        "b41acebf",
        "없음: 프로그램이 잠들어 있습니다. 위치: {place}",
    ),
    "nothing: the program sleeps": ("3cce81a3", "없음: 프로그램이 잠들어 있습니다"),
    "nothing, while the program used {seconds:.0f} s of processor time": (
        "83d5e137",
        "없음: 그동안 프로그램이 CPU 시간 {seconds:.0f}초를 썼습니다",
    ),
    "nothing for {seconds:.0f} seconds, while the program runs": (
        "93c15b63",
        "{seconds:.0f}초 동안 없음: 프로그램은 실행 중입니다",
    ),
    "a trace that goes on behind the window": ("4b80d0de", "측정 구간 뒤에도 이어지는 추적 기록"),
    "the thread that is counted does the work itself": (
        "14a67601",
        "측정하는 스레드가 일을 직접 하는 것",
    ),
    "a thread or process was made for it": (
        "69202f95",
        "그 일을 하려고 스레드나 프로세스를 만들었습니다",
    ),
    "others worked meanwhile": ("e458237a", "그동안 다른 스레드나 프로세스가 일했습니다"),
    "The disk is full, so the trace stops before the end of the window.": (
        "5b0b9879",
        "디스크가 가득 차서 측정 구간이 끝나기 전에 추적 기록이 끊겼습니다.",
    ),
    "the scenario": ("dfbd16cf", "시나리오"),
    "the scenario runs": ("888f6d7d", "시나리오가 실행되는 것"),
    "the scenario runs to its end": ("4823cb62", "시나리오가 끝까지 실행되는 것"),
    "the scenario pauses at {label!r}": ("79d11c34", "시나리오가 {label!r}에서 멈춰 기다리는 것"),
    "it pauses at {label!r}": ("2dfaa3a3", "멈춘 곳: {label!r}"),
    "it waits for what never comes": ("8e5c8ce8", "오지 않을 것을 기다리고 있습니다"),
    "it was still busy after {seconds:g} seconds of processor time: a loop that does not end": (
        "6b378f44",
        "CPU 시간 {seconds:g}초를 쓰고도 끝나지 않았습니다: 끝나지 않는 반복문입니다",
    ),
    "it raised": ("3d9ee4f6", "예외 발생"),
    "importing it raised": ("a5adbd50", "import 중 예외 발생"),
    "the program asks more than {most:,} questions": (
        "d8ff36af",
        "프로그램이 질문을 {most:,}개 넘게 보냈습니다",
    ),
    "{what} of the form {form}": ("2e773970", "{what}의 형식: {form}"),
    "{value} at {place}": ("6d79f655", "{value} (위치: {place})"),
    "text that is no Unicode: {value!r}": ("f876492c", "유니코드가 아닌 텍스트: {value!r}"),
    "a number of more than 64 bits": ("197e9a9d", "64비트를 넘는 수"),
    "lists within lists, more than {depth} deep": ("a6db2ae4", "{depth}단계를 넘게 겹친 리스트"),
    "{file} can be imported": ("9c4cbffd", "import할 수 있는 파일: {file}"),
    "{entry} serves": ("6824bafd", "서비스를 시작하는 함수: {entry}"),
    "a program that can be looked at, as it could before it was loaded": (
        "c3ca7360",
        "불러오기 전처럼 들여다볼 수 있는 프로그램",
    ),
    "a process that hides what it holds": ("fd67b304", "가진 것을 숨기는 프로세스"),
    "nothing: the import does not come to its end": ("935ac262", "없음: import가 끝나지 않습니다"),
    "nothing": ("1785cfc3", "없음"),
    "{seen}, in line {line} for {seconds:.0f} s": ("8e3c0db3", "{seen}. 있는 곳: {line}행, {seconds:.0f}초 동안"),
    "{seen}, in {call}() of line {line} for {seconds:.0f} s": (
        "7a303020",
        "{seen}. 있는 곳: {line}행의 {call}(), {seconds:.0f}초 동안",
    ),
    "no end after {seconds:.0f} seconds of processor time": (
        "790f7199",
        "CPU 시간 {seconds:.0f}초를 쓰고도 끝나지 않음",
    ),
    "it has not returned, and still runs": ("6e753e98", "반환하지 않았고, 아직 실행 중입니다"),
    "{file} cannot be imported": ("204a5a65", "import할 수 없는 파일: {file}"),
    "Python {version} cannot read it: {error}": ("e3f9f100", "Python {version}이 읽을 수 없습니다: {error}"),
    "{file} with its functions written": ("dbceb3e2", "함수가 작성된 파일: {file}"),
    "not begun: these functions are left to write: {functions}": (
        "b44de110",
        "시작하지 않음: 작성할 함수가 남아 있습니다: {functions}",
    ),
    "{file} is not begun": ("14df4122", "시작하지 않은 파일: {file}"),
    "not begun: {function}() is left to write": ("a8f8059c", "시작하지 않음: {function}() 함수를 작성해야 합니다"),
}
