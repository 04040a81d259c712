"""Challenge passwords as NDES hands them out: short, few at a time, or always the same one."""

import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256

from app.store import SqlRepository, SqlStore
from app.store.records import NewChallenge
from ca.journal import log_line
from ca.policy.challenges import ChallengeKey
from ca.ports import AuditEntry, Clock

# As NDES has them; scrapers look for 16 characters of 0-9 and A-F.
_OCTETS = 8
NOTE = "NDES page"
SINGLE_NOTE = "NDES single password "


class PasswordCacheFull(Exception):
    """As many passwords as may be wait to be used."""


@dataclass(frozen=True, slots=True)
class NdesPasswords:
    """Makes passwords of one *profile*: one use within *lifetime*, *most* of them unused at a time.

    With *single* it is always the same one, as long as that is not revoked. It is kept nowhere: the
    server's secret and the number in its note make it anew.
    """

    store: SqlStore
    challenge_key: ChallengeKey
    clock: Clock
    profile: str
    most: int
    lifetime: timedelta
    single: bool

    def hand_out(self, actor: str = "administrator") -> str:
        """A password to give to one device, or with *single* to all of them; *actor* has asked for it.

        Raises:
            PasswordCacheFull: There are too many that nobody has used yet.
            StoreUnavailable: It cannot be kept.

        """
        make = self._find_single if self.single else self._make
        return self.store.transact(partial(make, actor))

    def _make(self, actor: str, repository: SqlRepository) -> str:
        now = self.clock()
        if repository.count_unused_challenges(NOTE, now) >= self.most:
            raise PasswordCacheFull
        while True:
            password = secrets.token_hex(_OCTETS).upper()
            made = NewChallenge(
                mac=self.challenge_key.mac(password),
                profile=self.profile,
                uses_left=1,
                expires_at=now + self.lifetime,
                created_at=now,
                note=NOTE,
                # 64 bits: few enough that guesses are counted.
                guessable=True,
            )
            number = repository.add_challenge(made)
            if number is not None:
                repository.add_audit(self._entry(actor, number))
                return password

    def _find_single(self, actor: str, repository: SqlRepository) -> str:
        for note, mac in repository.find_lasting_challenges(SINGLE_NOTE, self.profile):
            password = self._derive(note)
            # Another secret than today's may have made it.
            if hmac.compare_digest(mac, self.challenge_key.mac(password)):
                return password
        note = f"{SINGLE_NOTE}{secrets.token_hex(_OCTETS)}"
        password = self._derive(note)
        made = NewChallenge(
            mac=self.challenge_key.mac(password),
            profile=self.profile,
            uses_left=None,
            expires_at=None,
            created_at=self.clock(),
            note=note,
            guessable=True,
        )
        number = repository.add_challenge(made)
        repository.add_audit(self._entry(actor, number))
        return password

    def _entry(self, actor: str, number: int | None) -> AuditEntry:
        target, detail = f"challenge {number}", log_line(profile=self.profile)
        return AuditEntry(self.clock(), actor, "challenge new", target, "made", "NDES page", detail)

    def _derive(self, note: str) -> str:
        # The MAC of another text than any password's: a password of this very text has another one.
        octets = sha256(b"ndes\0" + self.challenge_key.mac(f"\0{note}")).digest()
        return octets[:_OCTETS].hex().upper()
