"""How a name may be spelt: what misleads who reads it, or a program that makes a path of it, is refused."""

import re
import unicodedata

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
_WORD = re.compile(r"[^\W_]+")
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
        visible = not any(unicodedata.category(character) in _NEVER_IN_NAMES for character in value)
        _check_scripts(value)
    if not visible:
        raise SubjectRefused("a name holds control characters")
    if _PATH.search(value):
        raise SubjectRefused("a name leads out of a folder")


def _check_scripts(value: str) -> None:
    for word in _WORD.findall(value):
        scripts = {unicodedata.name(letter, "").split(" ", 1)[0] for letter in word if letter.isalpha()}
        if len(scripts & _ALIKE) > 1:
            raise SubjectRefused("a name mixes letters that look alike", detail=ascii(value))
