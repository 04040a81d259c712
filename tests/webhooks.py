"""A receiver of webhooks that checks what it gets, by the very lines that docs/policy.md shows."""

import hmac
import re
import time
from typing import Any

from app.validators.exchange import Caller
from app.validators.webhook import WebhookValidator
from tests.services import Received, Service
from tests.world import ROOT

SECRET = b"0123456789abcdef0123456789abcdef"
DOCUMENT = (ROOT / "docs" / "policy.md").read_text("utf-8")


def is_genuine(request: Received, secret: bytes = SECRET) -> bool:
    """What a reader of docs/policy.md would make of a request."""
    (lines,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    headers = {key.title(): value for key, value in request.headers.items()}
    names: dict[str, Any] = {
        "hmac": hmac,
        "time": time,
        "headers": headers,
        "body": request.body,
        "secret": secret,
    }
    exec(lines, names)  # they are ours
    return bool(names["genuine"])


def webhook(service: Service | str, limit: float = 5.0, caller: Caller | None = None) -> WebhookValidator:
    """A validator that asks *service*, or an address."""
    url = service if isinstance(service, str) else service.url
    return WebhookValidator(
        name="mdm",
        url=f"{url}/decide",
        notify_url=f"{url}/told",
        webhook_id="mdm",
        secret=SECRET,
        caller=caller or Caller(),
        timeout_seconds=limit,
    )
