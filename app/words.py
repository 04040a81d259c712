"""Words of others, made fit to be shown to a person."""


def printable(text: str) -> str:
    """*text* without what would move a terminal's cursor or begin a line."""
    return "".join(character if character.isprintable() else " " for character in text)
