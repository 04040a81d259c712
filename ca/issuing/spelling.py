"""How a name may be spelt: what misleads who reads it, or a program that makes a path of it, is refused."""

import re
import unicodedata
from itertools import groupby

from ca.errors import SubjectRefused

MAX_NAME_CHARACTERS = 255
# Control and format characters, halves of characters, what means something to one font alone, and what
# ends a line or paragraph.
_NEVER_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Letters of these look like each other's: "раyраl" has four that are Cyrillic. Japanese and Korean
# writing mixes scripts all the time, and looks like none of these (UTS 39 5.2).
_ALIKE = frozenset(
    {"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "FULLWIDTH", "MATHEMATICAL"}
)
# Letters and digits, and with them the accents that stand over a letter as characters of their own.
_WORD_CATEGORIES = frozenset("LNM")
# Letters and marks that show nothing at all: fillers, joiners, the blank of Braille.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# micromdm's scepserver makes a file name of the common name.
_PATH = re.compile(r"(^|[/\\])\.\.([/\\]|$)")


def check_spelling(value: str) -> None:
    """Check one value of a subject or an alternative name.

    Raises:
        SubjectRefused: It is empty, too long, holds what cannot be seen, mixes scripts within a word, or
            climbs out of a folder.

    """
    if not value.strip() or len(value) > MAX_NAME_CHARACTERS:
        raise SubjectRefused(f"a name is empty or longer than {MAX_NAME_CHARACTERS} characters")
    if value.isascii():
        # Most are, and need not be looked at character by character.
        visible = value.isprintable()
    else:
        visible = not any(
            unicodedata.category(character) in _NEVER_IN_NAMES or character in _INVISIBLE
            for character in value
        )
        _check_scripts(value)
    if not visible:
        raise SubjectRefused("a name holds characters that cannot be seen")
    if _PATH.search(value):
        raise SubjectRefused("a name leads out of a folder")


def _check_scripts(value: str) -> None:
    for is_word, word in groupby(value, lambda one: unicodedata.category(one)[0] in _WORD_CATEGORIES):
        if not is_word:
            continue
        scripts = {unicodedata.name(letter, "").split(" ", 1)[0] for letter in word if letter.isalpha()}
        if len(scripts & _ALIKE) > 1:
            raise SubjectRefused("a name mixes letters that look alike", detail=ascii(value))
