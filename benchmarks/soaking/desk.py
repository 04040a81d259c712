"""The administrator of the soak, who approves, rejects and revokes as the command line does."""

from pathlib import Path

from app.cli.context import Workplace
from app.clock import utc_now
from app.decisions import decision, operator
from app.store import SqlRepository
from app.wiring import build_approval_desk
from ca.issuing.reasons import Reason
from ca.issuing.revocation import revoke
from ca.ports import StoredCertificate

REASON = "not one of ours"


class Desk:
    """Decides in a process of its own on the database that the server has open. Any thread may call."""

    def __init__(self, folder: Path) -> None:
        place = Workplace(folder, None)
        cas = place.load_cas()
        self._store = place.open_store()
        self._approval = build_approval_desk(cas, place.config, self._store, operator())
        self._authorities = [one.authority for one in cas.all()]
        self._lifetime = place.config.crl_lifetime

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def decide(self, transaction_id: str, *, grant: bool) -> None:
        """Approve the request that waits under that transactionID, or reject it.

        Raises:
            DecisionImpossible: Somebody has decided already.
            LookupError: None waits.

        """
        now = utc_now()
        waiting = self._store.read(lambda repository: list(repository.list_requests(now, "pending")))
        numbers = [one.id for one in waiting if one.record.transaction_id == transaction_id]
        if not numbers:
            raise LookupError("the request is not among those that wait")
        if grant:
            self._approval.approve(numbers[0])
        else:
            self._approval.reject(numbers[0], REASON)

    def revoke(self, serial: str) -> None:
        """Revoke the certificate of that serial number (lower-case hex), which makes a new CRL.

        Raises:
            RevocationRefused: It is revoked already.
            LookupError: There is none.

        """

        def work(repository: SqlRepository) -> StoredCertificate | None:
            found = repository.find_certificate(serial)
            if found is not None:
                why = Reason.cessationOfOperation
                revoke(found, why, self._authorities, repository, utc_now(), self._lifetime)
                entry = decision("revoke", f"certificate {found.serial}", why.name, found.subject)
                repository.add_audit(entry)
            return found

        if self._store.transact(work) is None:
            raise LookupError(f"no certificate {serial} is known")
