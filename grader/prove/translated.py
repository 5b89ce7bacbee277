"""What of an exercise's texts and sentences is untranslated, stale or said no more, language by language.

Knows exercise.yaml and which sentences check files say; knows nothing of how well a translation reads.
"""

from collections.abc import Iterator

from grader.course.model import Exercise
from grader.course.text import Text, texts_in
from grader.words.found import said
from grader.words.languages import digest


def languages_of(exercise: Exercise) -> frozenset[str]:
    """The languages besides English that somebody has begun to translate it into."""
    keys = (key for _, text in texts_in(exercise) for key in text.root)
    return frozenset(key.partition("@")[0] for key in keys) - {"en"}


def lacking(exercise: Exercise, code: str) -> Iterator[str]:
    """What a reader of that language does not get, as lines: where it stands, and the key that belongs there."""
    for where, text in texts_in(exercise):
        if complaint := _complaint(text, code):
            yield f"{where}: {complaint}"
    known = {text.english for text in exercise.words}
    told = _told(exercise)
    for sentence in told:
        if sentence not in known:
            yield f"words: the checks say {sentence!r}; write it, and {code}@{digest(sentence)}"
    for sentence in known - set(told):
        yield f"words: no check says {sentence!r} any more; take it out"


def _complaint(text: Text, code: str) -> str:
    written = dict(text.written(code))
    of = digest(text.english)
    if not written:
        return f"untranslated; write {code}@{of}"
    if of in written:
        return ""
    if "" in written:
        return f"nobody knows of which English text it is a translation; look at it, and write {code}@{of}"
    return f"stale, for the English text has changed; look at it again, and write {code}@{of}"


def _told(exercise: Exercise) -> list[str]:
    """The sentences of its check files, each once."""
    files = sorted(exercise.checks_dir.glob("*.py"))
    sentences = (sentence for file in files for sentence in said(file.read_text(encoding="utf-8"), str(file)))
    return list(dict.fromkeys(sentences))
