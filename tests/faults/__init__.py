"""A small SCEP server on public libraries that is wrong in one way at a time, chosen by name.

Nothing of ``ca`` or ``app`` is in it: what it does right and wrong is a second opinion. asn1crypto has
the structures, ``cryptography`` keys and certificates, ``http.server`` the line.
"""
