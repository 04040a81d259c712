"""What ``doctor --dry-run`` announced, held against what a wire heard."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

_FIRST_LINE = re.compile(rb"((?:GET|HEAD|POST) \S+) HTTP/1\.[01]\r\n")
# A message is announced by its place alone; what is no base64 stands there as it is.
_MESSAGE = re.compile(r"(operation=PKIOperation&message=)(?!%25%25%25$).+")


def requests(heard: Iterable[bytes | bytearray]) -> list[str]:
    """Method and path of each request, in order, as an announcement has them."""
    lines = [line.decode() for octets in heard for line in _FIRST_LINE.findall(octets)]
    return [_MESSAGE.sub(r"\1…", line) for line in lines]


def is_as_announced(
    plan: Sequence[dict[str, Any]], heard: Sequence[str], *, stops: Sequence[str] = ()
) -> bool:
    """Whether *heard* is what the *plan* has, in its order and in its number, and nothing beside.

    What is sent in one case alone may be missing, and so may the rest of a step in which somebody *stops*.
    """
    *steps, after = plan
    (again,) = after["requests"]
    pattern = ""
    for step in steps:
        breaks_off = step["step"].startswith(tuple(stops))
        for one in step["requests"]:
            least = 0 if one["when"] or breaks_off else 1
            pattern += f"(?:{_either(one)}){{{least},{one['times']}}}"
    lines = "".join(f"{line}\n" for line in heard)
    return re.fullmatch(f"{pattern}(?:{_either(again)})?", lines) is not None


def _either(one: dict[str, Any]) -> str:
    forms = [form for form in (one, one["otherwise"]) if form]
    return "|".join(re.escape(f"{form['method']} {form['path']}\n") for form in forms)
