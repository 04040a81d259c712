"""The algorithms by their OIDs, which of them each level allows, and OpenSSL behind them.

Knows keys and bytes. Knows no CMS, no certificate and no message.
"""
