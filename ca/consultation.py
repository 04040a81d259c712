"""What has to be asked outside of a transaction before a request is decided: a validator, a linter.

A transaction holds the store, and whoever is asked may take seconds. So the transaction ends by an
exception that undoes all it did, the spending of a challenge password too; then the question is asked, and
the transaction begins again with the answer.
"""

from dataclasses import dataclass

from ca.ahead import SignedAhead
from ca.ports import Allowed, Deferred
from ca.profiles import CertificateContent


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a request so far: the validator's verdict, and the content that was linted.

    *ahead* is a certificate that was signed for it already.
    """

    verdict: Allowed | Deferred | None = None
    linted: CertificateContent | None = None
    ahead: SignedAhead | None = None


class NeedsVerdict(Exception):
    """A validator has to be asked."""


class NeedsLint(Exception):
    """What would be issued has to be linted."""

    def __init__(self, content: CertificateContent) -> None:
        super().__init__()
        self.content = content
