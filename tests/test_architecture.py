"""The house stands as it was drawn: who may import whom, and where refusals are caught."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ca import errors
from tests.world import ROOT

OUTSIDE_OF_CA = {"cryptography", "OpenSSL"}
# From the ground up: each may import those before it.
LAYERS = ("ca.asn1", "ca.algorithms", "ca.x509", "ca.pkcs7")


def files(place: str) -> list[Path]:
    """The Python files of a folder, or the one that is named."""
    path = ROOT / place
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert found, place
    return found


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it; ``from a import b`` is ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                assert level == 0, f"{path}: a relative import hides where it leads"
                yield from (f"{module}.{alias.name}" for alias in names)


def importing(place: str, *modules: str) -> set[str]:
    """The files of *place* that import one of *modules* or something in it."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in files(place)
        for name in imports(path)
        if any(f"{name}.".startswith(f"{module}.") for module in modules)
    }


def catching(place: str, error: str) -> list[str]:
    """The files of *place*, once for each ``except`` that names *error*."""
    return [
        path.relative_to(ROOT).as_posix()
        for path in files(place)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type and error in ast.unparse(node.type)
    ]


def test_the_inner_ring_imports_nothing_from_outside() -> None:
    """What decides about certificates knows no HTTP, no SQL and no command line."""
    allowed = {*sys.stdlib_module_names, *OUTSIDE_OF_CA, "ca"}

    strangers = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in files("ca")
        for name in imports(path)
        if name.split(".")[0] not in allowed
    }

    assert strangers == set()


def test_the_servers_that_are_wrong_on_purpose_know_nothing_of_the_program() -> None:
    """A mistake that both made would show nowhere."""
    assert importing("tests/faults", "app", "ca") == set()


def test_the_inner_ring_never_imports_the_outer() -> None:
    """The direction of every dependency is inward."""
    assert importing("ca", "app", "tests") == set()


@pytest.mark.parametrize("module", ["sqlalchemy", "alembic", "cryptography", "OpenSSL", "app.store"])
def test_the_scep_endpoint_knows_neither_sql_nor_cryptography(module: str) -> None:
    """It maps HTTP to one function and back."""
    assert importing("app/http/scep.py", module) == set()


def test_sql_is_in_the_store_alone() -> None:
    """Elsewhere nobody can forget the transaction."""
    outside = importing("app", "sqlalchemy", "alembic") - importing("app/store", "sqlalchemy", "alembic")

    # It only asks whether the package is there.
    assert outside == {"app/bootstrap.py"}


def test_only_the_codec_speaks_cms() -> None:
    """Bytes become messages in one place, in both directions."""
    callers = importing("ca", "ca.pkcs7") | importing("app", "ca.pkcs7")

    assert {file for file in callers if not file.startswith(("ca/scep/codec/", "ca/pkcs7/"))} == set()


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_imports_only_what_lies_below(layer: str) -> None:
    """ASN.1 knows no algorithm, no algorithm knows a certificate, no certificate knows CMS."""
    above = LAYERS[LAYERS.index(layer) + 1 :]
    more = ("ca.scep", "ca.policy", "ca.issuing", "ca.responder", "ca.ports")

    assert importing(layer.replace(".", "/"), *above, *more) == set()


def test_policy_and_issuing_never_see_bytes() -> None:
    """They take what the codec has proven."""
    for place in ("ca/policy", "ca/issuing"):
        assert importing(place, "ca.scep.codec", "ca.pkcs7", "ca.responder") == set()


def test_policy_writes_no_asn1() -> None:
    """A decision needs no encoding."""
    assert importing("ca/policy", "ca.asn1.writer") == set()


def test_one_place_turns_a_refusal_into_a_failure() -> None:
    """RFC 8894 3.3.2.2: two places would answer in two ways.

    Our client's reading is another matter, and what is signed ahead leaves the refusal to the transaction.
    """
    places = [*catching("ca", "ScepError"), *catching("app", "ScepError")]

    others = ("ca/scep/codec/client.py", "ca/ahead.py")
    assert [place for place in places if place not in others] == ["ca/responder.py"]


def test_one_place_turns_a_malformed_message_into_a_400() -> None:
    """What names no transaction cannot be answered by a CertRep."""
    assert catching("app/http", "MalformedMessage") == ["app/http/answers.py"]


def test_no_assert_and_no_bare_except() -> None:
    """``python -O`` takes the one away, and the other hides faults."""
    found = [
        path.relative_to(ROOT).as_posix()
        for place in ("ca", "app")
        for path in files(place)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert) or (isinstance(node, ast.ExceptHandler) and node.type is None)
    ]

    assert found == []


def test_every_module_says_what_is_in_it() -> None:
    """The first line of a file is a sentence."""
    silent = [
        path.relative_to(ROOT).as_posix()
        for place in ("ca", "app", "run.py")
        for path in files(place)
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]

    assert silent == []


CLASSES = {
    name: one for name, one in vars(errors).items() if inspect.isclass(one) and issubclass(one, Exception)
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_refusal_stands_in_the_tree(name: str) -> None:
    """The tree in the docstring of ca.errors is what an operator reads."""
    drawn = re.search(rf"(?m)^( *)[*x-] {name}\b(.*)$", inspect.getdoc(errors) or "")

    assert drawn, f"{name} is not in the tree"
    depth = len([one for one in CLASSES[name].__mro__ if issubclass(one, errors.ScepError)])
    assert len(drawn[1]) // 2 == max(depth - 1, 0)


def test_the_tree_shows_no_refusal_that_is_gone() -> None:
    """And the other way round."""
    drawn = re.findall(r"(?m)^ *[*x-] (\w+)", inspect.getdoc(errors) or "")

    assert set(drawn) == set(CLASSES)


@pytest.mark.proves("R-3.2.1.4-a")
@pytest.mark.parametrize(
    "name", [name for name, one in CLASSES.items() if errors.ScepError in one.__mro__[1:]]
)
def test_every_refusal_has_its_fail_info(name: str) -> None:
    """RFC 8894 3.2.1.4: the class says which, as the tree has it for the first of each branch."""
    refusal = CLASSES[name]
    drawn = re.search(rf"(?m)^ *x {name} +(bad\w+)", inspect.getdoc(errors) or "")

    assert isinstance(getattr(refusal, "fail_info", None), errors.FailInfo)
    if drawn:
        assert refusal.fail_info.label == drawn[1]  # type: ignore[attr-defined]
