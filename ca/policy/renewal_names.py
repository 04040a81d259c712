"""What a certificate of ours vouches for when it is renewed, or granted once more by another CA of ours."""

from dataclasses import replace

from ca.issuing.content import requested_names
from ca.issuing.sid import find_sids
from ca.ports import StoredCertificate
from ca.profiles import Grants, Profile, Source
from ca.x509.certificate import Certificate
from ca.x509.general_names import is_sid_uri
from ca.x509.request import CertificationRequest


def renewal_grants(csr: CertificationRequest, renewed: StoredCertificate, profile: Profile) -> Grants:
    """What *renewed* vouches for in a renewal under *profile*.

    Where its subject or its alternative names came from somebody else than the device, the device cannot
    ask for them, and gets them all the same; where they came from the device, it has to ask for them, and
    gets no others unless the profile lets a renewal change them.
    """
    settled = settled_grants(renewed)
    # A validator may have said any of them, whatever the profile says of its sources.
    validated = bool(profile.validator) and profile.renewal_same_names
    asks_for_it = Certificate.load(renewed.der).subject.matches(csr.subject)
    keeps_subject = asks_for_it or validated or profile.subject.source is not Source.REQUEST
    keeps_names = validated or profile.san.source is not Source.REQUEST
    asked = {str(name) for name in requested_names(csr) if not is_sid_uri(name)}
    same = keeps_subject and (keeps_names or asked == set(settled.subject_alt_names or ()))
    return replace(
        settled,
        subject=settled.subject if keeps_subject else None,
        subject_alt_names=settled.subject_alt_names if keeps_names else None,
        # An account was vouched for under these names, and is nobody else's.
        sid=settled.sid if same or profile.renewal_same_names else "",
    )


def grants_over(said: Grants, renewed: Grants) -> Grants:
    """What is *said* anew, and beneath it what *renewed* vouches for: no account under other names."""
    return said.over(replace(renewed, sid="") if _renames(said, renewed) else renewed)


def says_otherwise(said: Grants, renewed: Grants) -> bool:
    """Whether *said* has names or an account that *renewed* has not."""
    return _renames(said, renewed) or said.sid not in ("", renewed.sid)


def _renames(said: Grants, renewed: Grants) -> bool:
    return said.subject not in (None, renewed.subject) or said.subject_alt_names not in (
        None,
        renewed.subject_alt_names,
    )


def settled_grants(stored: StoredCertificate) -> Grants:
    """All names of a certificate that was issued."""
    certificate = Certificate.load(stored.der)
    names = certificate.subject_alt_names
    sids = find_sids(certificate.extensions, names)
    return Grants(
        str(certificate.subject),
        tuple(str(name) for name in names if not is_sid_uri(name)),
        next(iter(sids), ""),
        settled=True,
    )
