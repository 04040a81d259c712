"""Which family of clients a request comes from, by what it calls itself: one of a short list."""

from functools import lru_cache

# The first that fits, in lower case. Who says nothing is "silent": Cisco IOS, sscep and strongSwan do.
_FAMILIES = (
    ("windows", ("ndes client", "windows", "win32", "microsoft")),
    ("apple", ("cfnetwork", "darwin", "mdmclient", "profiled", "iphone", "macos")),
    ("android", ("android", "dalvik", "okhttp")),
    ("cisco", ("cisco",)),
    ("juniper", ("juniper", "junos")),
    ("fortinet", ("fortinet", "fortigate", "fortios")),
    ("scepbox", ("scepbox",)),
    ("sscep", ("sscep",)),
    ("strongswan", ("strongswan",)),
    ("certmonger", ("certmonger",)),
    ("java", ("java/", "java-http-client", "jscep", "apache-httpclient")),
    ("go", ("go-http-client", "scepclient", "micromdm")),
    ("curl", ("curl",)),
)
SILENT, OTHER = "silent", "other"
FAMILIES = (*(name for name, _ in _FAMILIES), SILENT, OTHER)


@lru_cache(maxsize=1024)
def family_of(client: str) -> str:
    """The family of who sends *client* as User-Agent: one of :data:`FAMILIES`, whatever a stranger says."""
    if not client:
        return SILENT
    lower = client.lower()
    return next((name for name, marks in _FAMILIES if any(mark in lower for mark in marks)), OTHER)
