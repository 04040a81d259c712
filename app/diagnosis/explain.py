"""From what a device says, a code or a line of its log, to what is known of it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from app.diagnosis.finding import Symptom
from app.diagnosis.knowledge import Knowledge

# A whole line of a log, or several, and no file.
MAX_TEXT = 4096
_BITS_32 = 1 << 32
_NUMBER = re.compile(r"(?<![\w.-])(?<!\d:)(-?)(0x[0-9a-f]{1,8}|[0-9]{1,10})(?![\w:])(?!\.\d)", re.IGNORECASE)
_BARE_HEX = re.compile(r"(?<!\w)(?=[0-9]*[a-f])8[0-9a-f]{7}(?!\w)", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9]+")
_APOSTROPHES = str.maketrans("", "", "'’`´")
# How many of the words of a known text a line has to have, in any order, to be taken for it.
_MOST_OF_IT = 0.75
_FEW = 5


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found: *symptoms*, the likeliest first; where there are none, *suggestions*."""

    symptoms: tuple[Symptom, ...]
    suggestions: tuple[str, ...] = ()


def explain(text: str, known: Knowledge) -> Explanation:
    """Look *text* up: a code in decimal or hexadecimal, signed or not, or words with others around them.

    Of a text that is longer than 4096 characters the first ones count.
    """
    text = text[:MAX_TEXT].strip()
    symptoms = tuple(known.symptoms.values())
    found = _unique([*_by_code(text, symptoms), *_by_words(text, symptoms)])
    return Explanation(found) if found else Explanation((), _suggest(text, symptoms))


def code_forms(code: int) -> tuple[str, str]:
    """A code in decimal as its client writes it, and in hexadecimal of 32 bits."""
    return str(code - _BITS_32 if code >= 1 << 31 else code), f"0x{code % _BITS_32:08x}"


def _by_code(text: str, symptoms: Iterable[Symptom]) -> Iterator[Symptom]:
    numbers = list(_numbers(text))
    for symptom in symptoms:
        codes = {code % _BITS_32 for code in symptom.codes}
        if codes & set(numbers):
            yield symptom
    # Alone, -22013 and 67731 are the same codes with and without the sign that a log puts there.
    if len(numbers) == 1 and _NUMBER.fullmatch(text):
        turned = -numbers[0] % _BITS_32
        yield from (one for one in symptoms if turned in {code % _BITS_32 for code in one.codes})


def _numbers(text: str) -> Iterator[int]:
    for sign, digits in _NUMBER.findall(text):
        number = int(digits, 16 if digits[1:2] in ("x", "X") else 10)
        yield (-number if sign else number) % _BITS_32
    for digits in _BARE_HEX.findall(text):
        yield int(digits, 16)


def _by_words(text: str, symptoms: Iterable[Symptom]) -> list[Symptom]:
    """Those one of whose texts stands in *text*, the longest first; failing that, most of one's words."""
    words = normalise(text)
    line = f" {' '.join(words)} "
    whole: list[tuple[float, Symptom]] = [
        (len(phrase), one)
        for one in symptoms
        for phrase in (" ".join(normalise(known)) for known in one.texts)
        if f" {phrase} " in line
    ]
    if not whole:
        whole = [(score, one) for one in symptoms if (score := _share(set(words), one)) >= _MOST_OF_IT]
    return [one for _, one in sorted(whole, key=lambda pair: -pair[0])]


def _share(words: set[str], symptom: Symptom) -> float:
    """How much of the best of its texts is there. A text of two words is nothing to guess by."""
    texts = [set(normalise(text)) for text in symptom.texts]
    return max((len(words & text) / len(text) for text in texts if len(text) > 2), default=0.0)


def normalise(text: str) -> list[str]:
    """The words of *text* in lower case, with neither punctuation nor apostrophes."""
    return _WORD.findall(text.lower().translate(_APOSTROPHES))


def _suggest(text: str, symptoms: Iterable[Symptom]) -> tuple[str, ...]:
    """What is spelt alike: codes by their digits, texts by their words."""
    spelt: dict[str, str] = {}
    for symptom in symptoms:
        for code in symptom.codes:
            shown = code_forms(code)[code >= 1 << 16]
            spelt |= dict.fromkeys(code_forms(code), shown)
        spelt |= {" ".join(normalise(known)): known for known in symptom.texts}
    wanted = text.lower() if _NUMBER.fullmatch(text) else " ".join(normalise(text))
    close = get_close_matches(wanted[:200], spelt, n=_FEW, cutoff=0.7)
    return tuple(dict.fromkeys(spelt[one] for one in close))


def _unique(symptoms: Iterable[Symptom]) -> tuple[Symptom, ...]:
    return tuple({one.id: one for one in symptoms}.values())
