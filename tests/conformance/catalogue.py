"""The requirements, as tests/conformance/requirements.toml has them; what proves them is not in it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("requirements.toml")
OF_RFC_8894 = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "RECOMMENDED", "MAY", "OPTIONAL", "RULE")
LEVELS = (*OF_RFC_8894, "CMS", "PKCS10", "PKIX", "HTTP", "DRAFT", "SECURITY", "CASE")
WHO = ("server", "client", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One line of the catalogue. *open* and *left_out* are the reason why no test proves it."""

    id: str
    chapter: str
    level: str
    who: str
    section: str
    text: str
    note: str = ""
    open: str = ""
    left_out: str = ""

    def __post_init__(self) -> None:
        """Refuse a line that says what nobody would understand.

        Raises:
            ValueError: A level or party that there is not, two reasons, or a missing full stop.

        """
        if self.level not in LEVELS or self.who not in WHO:
            raise ValueError(f"{self.id}: no such level or party")
        if self.open and self.left_out:
            raise ValueError(f"{self.id}: open or left out, not both")
        if not self.text.endswith(".") or "|" in self.text + self.note + self.open + self.left_out:
            raise ValueError(f"{self.id}: the text is a sentence that fits into a table")

    @property
    def reason(self) -> str:
        """Why there is no test; empty where there has to be one."""
        return self.open or self.left_out


def load(text: str) -> dict[str, Requirement]:
    """Read a catalogue, in its order.

    Raises:
        ValueError: One number is given twice, or a line is not as it should be.
        TypeError: A line has a word that no line has.

    """
    found: dict[str, Requirement] = {}
    for chapter, lines in tomllib.loads(text).items():
        for number, words in lines.items():
            if number in found:
                raise ValueError(f"{number} is there twice")
            found[number] = Requirement(id=number, chapter=chapter, **words)
    return found


def catalogue() -> dict[str, Requirement]:
    """The catalogue of this repository."""
    return load(FILE.read_text("utf-8"))
