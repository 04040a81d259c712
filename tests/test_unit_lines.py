"""The lines of keys in a settings file, against TOML of every form that tomllib reads."""

import string
import tomllib
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.lines import KeyPath, find_lines, line_of

BARE = string.ascii_letters + string.digits + "-_"
# Whatever looks like structure, and is none inside of a string.
NOISE = st.text("ab#[]{}=,.'\"\\ \t\n", max_size=12)


class Writer:
    """Writes TOML in forms that hypothesis chooses; each number is another one, so that it can be found."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._numbers = count(1_000_001)
        self._keys = count()

    def document(self) -> str:
        """Pairs, then tables and arrays of tables, some of them one in another."""
        blocks = [self.pairs()]
        for _ in range(self._draw(st.integers(0, 4))):
            key = self.key()
            match self._draw(st.integers(0, 3)):
                case 0:
                    blocks.append(f"[{self.space()}{key}{self.space()}]{self.end()}{self.pairs()}")
                case 1:
                    blocks.append(f"[{key} . {self.key()}]{self.end()}{self.pairs()}")
                case 2:
                    blocks += [f"[[{key}]]{self.end()}{self.pairs()}" for _ in range(2)]
                case _:
                    blocks.append(f"[[{key}]]\n[{key}.{self.key()}]{self.end()}{self.pairs()}")
                    blocks.append(f"[[{key}.{self.key()}]]{self.end()}{self.pairs()}")
        return "".join(blocks)

    def pairs(self) -> str:
        """Some pairs, a line or several each."""
        return "".join(f"{self.pair()}{self.end()}" for _ in range(self._draw(st.integers(0, 3))))

    def pair(self, depth: int = 0, *, inline: bool = False) -> str:
        """A key, dotted perhaps, and its value."""
        dotted = self._draw(st.sampled_from(["", f"{self.space()}.{self.space()}{self.key()}"]))
        return f"{self.key()}{dotted}{self.space()}={self.space()}{self.value(depth, inline=inline)}"

    def value(self, depth: int, *, inline: bool) -> str:
        """A number, a string, a date, or what has others in it."""
        match self._draw(st.integers(0, 7 if depth < 3 else 4)):
            case 0 | 1:
                return str(next(self._numbers))
            case 2:
                return self._draw(
                    st.sampled_from(["true", "1979-05-27 07:32:00Z", "-inf", "0xFF", '""', "''"])
                )
            case 3 | 4:
                return self.string(inline=inline)
            case 5 | 6:
                return self.array(depth + 1, inline=inline)
        inside = [self.pair(depth + 1, inline=True) for _ in range(self._draw(st.integers(0, 2)))]
        return f"{{{self.space()}{', '.join(inside)}{self.space()}}}"

    def array(self, depth: int, *, inline: bool) -> str:
        """An array, over several lines and with comments where it may be."""
        gap = self.space if inline else self.gap
        inside = [
            f"{gap()}{self.value(depth, inline=inline)}{gap()}" for _ in range(self._draw(st.integers(0, 3)))
        ]
        comma = self._draw(st.sampled_from(["", f",{gap()}"])) if inside else ""
        return f"[{','.join(inside)}{comma}]"

    def string(self, *, inline: bool) -> str:
        """Text in one of the four kinds of quotes."""
        text = self._draw(NOISE)
        quotes = self._draw(
            st.sampled_from(["basic", "literal"] if inline else ["basic", "literal", "long", "raw"])
        )
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        match quotes:
            case "basic":
                return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
            case "literal":
                return "'" + text.replace("'", "").replace("\n", "") + "'"
            case "long":
                more = self._draw(st.sampled_from(["", '"', '""', "\\\n   "]))
                return f'"""{escaped}{more}"""'
        more = self._draw(st.sampled_from(["", "'", "''"]))
        return f"'''{text.replace(chr(39), '')}{more}'''"

    def key(self) -> str:
        """A key that is there once, bare or quoted."""
        name = f"k{next(self._keys)}{self._draw(st.text(BARE, max_size=3))}"
        more = self._draw(st.text("a.#=[]{ \té", max_size=3))
        escaped = more.replace("\t", "\\t")
        return self._draw(
            st.sampled_from([name, f"'{name}{more}'", f'"{name}{escaped}"', f'"\\u0041{name}"'])
        )

    def space(self) -> str:
        """What may stand within a line."""
        return self._draw(st.sampled_from(["", " ", "\t"]))

    def gap(self) -> str:
        """What may stand in an array."""
        return self._draw(st.sampled_from(["", " ", "\n", ' # ], [ \' """\n  ', "\n\n"]))

    def end(self) -> str:
        """The end of a line, and what nobody reads."""
        return self._draw(st.sampled_from(["\n", " # [x] = '''\n", "\n\n   # y = {\n"]))


@st.composite
def documents(draw: st.DrawFn) -> str:
    return Writer(draw).document()


def leaves(node: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value with its path, the tables and arrays too."""
    if path:
        yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from leaves(value, (*path, place))


@settings(max_examples=200, deadline=None)
@given(documents())
def test_each_key_is_on_the_line_where_it_was_written(text: str) -> None:
    """Whatever form it has: each number is in the file once, so that its line is known."""
    found, rows = find_lines(text), text.split("\n")

    for path, value in leaves(tomllib.loads(text)):
        assert path in found, path
        if isinstance(value, int) and value > 1_000_000:
            (row,) = [number for number, row in enumerate(rows, 1) if str(value) in row]
            assert found[path] == row


@settings(max_examples=200, deadline=None)
@given(st.text("ab=.[]{},\"'#\\ \n1\t") | st.text())
def test_whatever_the_text_is_nothing_is_raised(text: str) -> None:
    """A help that fails would hide what it was to help with; what tomllib refuses included."""
    assert all(1 <= line <= text.count("\n") + 1 for line in find_lines(text).values())


@pytest.mark.parametrize(
    "text", ["a = [" + "[" * 5000, "a = [}", "[", "a", '"', "a = {b", "[[a]", "a." * 3000]
)
def test_what_is_no_toml_ends_too(text: str) -> None:
    """Without an endless loop or a full stack."""
    find_lines(text)


def test_a_table_is_where_its_header_is_and_what_is_not_there_is_where_it_belongs() -> None:
    """A key that is missing is told with the section that misses it."""
    found = find_lines("\n[server]\nlisten = [\n 'a',\n 'b',\n]\n[[list]]\n[[list]]\nx.y = 1\n")

    assert line_of(found, ("server", "listen", 1)) == 5
    assert line_of(found, ("server", "workers")) == 2
    assert line_of(found, ("list", 1, "x", "y")) == 9
    assert line_of(found, ("list", 1)) == 8
    assert line_of(found, ("limits", "connections")) is None
