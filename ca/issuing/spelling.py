"""How a name may be spelt: what misleads who reads it, or a program that makes a path of it, is refused."""

import re
import unicodedata
from itertools import groupby

from ca.errors import SubjectRefused

MAX_NAME_CHARACTERS = 255
# Control and format characters, halves of characters, what means something to one font alone or nothing yet,
# and what ends a line or paragraph.
_NEVER_IN_NAMES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters of these look like each other's: "раyраl" has four that are Cyrillic. Japanese and Korean
# writing mixes scripts all the time, and looks like none of these (UTS 39 5.2).
_ALIKE = frozenset(
    {
        "LATIN",
        "GREEK",
        "CYRILLIC",
        "ARMENIAN",
        "GEORGIAN",
        "CHEROKEE",
        "COPTIC",
        "LISU",
        "CANADIAN",
        "DESERET",
    }
    | {"OSAGE", "TIFINAGH", "VAI", "RUNIC", "OGHAM", "GOTHIC", "GLAGOLITIC", "OLD", "CARIAN", "LYCIAN"}
    | {"LYDIAN", "ELBASAN", "WARANG", "MIAO", "BAMUM", "MEDEFAIDRIN", "VITHKUQI", "OSMANYA", "NKO"}
)
# Written small and high in "Nº" and "1ª", and taken for no letter of a word.
_ORDINALS = frozenset("ªº")
# Letters and digits, and with them the accents that stand over a letter as characters of their own.
_WORD_CATEGORIES = frozenset("LNM")
# What shows nothing at all: Default_Ignorable_Code_Point of Unicode (UAX 44 5.3), and the blank of Braille.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
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
        # At its edges nobody sees a space of any kind; that of ASCII is compared as if it were not there.
        visible = (
            not any(unicodedata.category(character) in _NEVER_IN_NAMES for character in value)
            and not _INVISIBLE.search(value)
            and value.strip() == value.strip(" ")
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
        if len(set(map(_script, word)) - {""}) > 1:
            raise SubjectRefused("a name mixes letters that look alike", detail=ascii(value))


def _script(character: str) -> str:
    """The script of a letter that looks like those of others, or how it stands for ASCII; else empty."""
    if character.isascii():
        return "LATIN" if character.isalpha() else ""
    stands_for = unicodedata.normalize("NFKC", character)
    if character not in _ORDINALS and any(one.isascii() and one.isalpha() for one in stands_for):
        # Fullwidth and mathematical letters, Roman numerals, ligatures: each sort is one by itself.
        return unicodedata.decomposition(character).partition(">")[0]
    script = unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""
    return script if script in _ALIKE else ""
