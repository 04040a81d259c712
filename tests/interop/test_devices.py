"""The table of clients is what the tests have just seen."""

import pytest

from tests.outcomes import OUTCOMES, others

from . import devices, peers
from .conftest import SUBSET

PEERS = (
    peers.SCEPCLIENT,
    peers.STRONGSWAN,
    peers.CERTMONGER,
    peers.RUBY,
    peers.NODE_FORGE,
    peers.OPENSSL,
)


def test_the_table_of_clients_is_up_to_date(request: pytest.FixtureRequest, table: devices.Table) -> None:
    """What the documentation promises about a client was true when the tests last ran."""
    if request.config.stash[SUBSET]:
        pytest.skip("only a run of all interoperability tests fills the table")
    for peer in PEERS:
        peers.require(peer)
    request.config.stash[OUTCOMES].wait_for(others(request.session))

    if devices.writing():
        versions = {peer.name: peers.version(peer) for peer in PEERS}
        devices.DOCUMENT.parent.mkdir(exist_ok=True)
        devices.DOCUMENT.write_text(table.markdown(versions))

    committed = devices.committed_rows()
    unknown, stale = table.rows - committed, committed - table.rows
    hint = "SCEPBOX_WRITE_DOCS=1 pytest tests/interop writes docs/devices.md anew"
    assert not unknown, f"not in the document:{devices.listing(unknown)}\n{hint}"
    assert not stale, f"in the document, but no longer so:{devices.listing(stale)}\n{hint}"
