"""pkilint as the judge of certificates that are about to be issued (RFC 5280 and beside it)."""

from functools import cached_property
from typing import Any

# What may break a client; notices are matters of taste.
_SEVERITY = "WARNING"
UNREADABLE = "unreadable"


class PkiLinter:
    """Judges certificates by pkilint's rules of PKIX, from warnings on."""

    def objections(self, certificate: bytes) -> list[str]:
        """The codes of what pkilint objects to, each once, such as ``pkix.invalid_domain_name_syntax``."""
        from pkilint import loader
        from pkilint.validation import ValidationFindingSeverity

        try:
            document = loader.RFC5280CertificateDocumentLoader().load_der_document(certificate, "draft")
        except ValueError:
            return [UNREADABLE]
        # The worse a finding, the lower its number.
        most = ValidationFindingSeverity[_SEVERITY]
        found = (
            one.finding.code
            for result in self._validator.validate(document.root)
            for one in result.finding_descriptions
            if one.finding.severity <= most
        )
        return list(dict.fromkeys(found))

    @cached_property
    def _validator(self) -> Any:
        # Imported where a profile asks for it: it costs half a second.
        from pkilint.pkix import certificate, extension, name

        return certificate.create_pkix_certificate_validator_container(
            certificate.create_decoding_validators(
                name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
            ),
            [
                certificate.create_issuer_validator_container([]),
                certificate.create_validity_validator_container(),
                certificate.create_subject_validator_container([]),
                certificate.create_extensions_validator_container([]),
                certificate.create_spki_validator_container([]),
            ],
        )
