"""Elements as places of the tree: where they lie, and what of BER and of damage is in them."""

from app.diagnosis.node import Node
from app.diagnosis.tlv import Tlv, Walk
from app.diagnosis.words import type_name, value_of
from ca.asn1 import tags, writer
from ca.x509 import oids

_MOST_SHOWN = 400
_MISSING = "(missing)"
_NOT_REACHED = "(it breaks off before)"
_CHALLENGE = writer.oid(oids.CHALLENGE_PASSWORD)


def put(parent: Node, name: str, one: Tlv | None, value: str = "", place: str = "") -> Node:
    """A place for an element, with its damage; one that is missing is said to be."""
    if one is None:
        return parent.add(name, value or _MISSING, place)
    node = parent.add(name, value, place)
    node.offset, node.octets = one.start, memoryview(one.buffer)[one.start : one.end]
    # Whatever holds a challenge password, sound or not.
    node.secret = one.buffer.find(_CHALLENGE, one.start, one.end) >= 0
    # What breaks off has all around it break off too: it is said of the whole, and of the innermost.
    if one.damage and (not one.start or all(child.is_whole() for child in one.children)):
        node.note("damaged-encoding", f"at offset {one.start}: {one.damage}")
    return node


def put_leaf(parent: Node, name: str, one: Tlv | None, place: str = "") -> Node:
    """A place for an element that has a value."""
    return put(parent, name, one, value_of(one) if one is not None else "", place)


def note_damage(node: Node, one: Tlv) -> None:
    """Say where the encoding breaks, unless a place inside says so already, and what it does not reach."""
    if one.is_whole():
        return
    for inner in node.walk():
        if inner.value == _MISSING:
            inner.value = _NOT_REACHED
    if any(note.finding == "damaged-encoding" for inner in node.walk() for note in inner.notes):
        return
    found = _first_damage(one)
    if found is not None:
        node.note("damaged-encoding", f"at offset {found.start}: {found.damage}")


def _first_damage(one: Tlv) -> Tlv | None:
    if one.damage and not one.children:
        return one
    inner = next((found for child in one.children if (found := _first_damage(child))), None)
    return inner or (one if one.damage else None)


def note_forms(node: Node, walk: Walk) -> None:
    """Say what of BER there is, how often, and where first."""
    for form, starts in walk.forms.items():
        times = "once" if len(starts) == 1 else f"{len(starts)} times, first"
        node.note(form, f"{times} at offset {starts[0]}")


def put_all(parent: Node, one: Tlv) -> None:
    """Elements as they are, for what is of no structure known here; so many and no more."""
    _put_all(parent, one, [_MOST_SHOWN])


def _put_all(parent: Node, one: Tlv, left: list[int]) -> None:
    left[0] -= 1
    if left[0] == 0:
        parent.add("...", "more elements")
    if left[0] <= 0:
        return
    if not one.tag & tags.CONSTRUCTED:
        put_leaf(parent, type_name(one.tag), one)
        return
    node = put(parent, type_name(one.tag), one)
    if one.children and one.children[0].raw == _CHALLENGE:
        node.value = "a challenge password, not shown"
        return
    for child in one.children:
        _put_all(node, child, left)
