"""A simulator of Microsoft Intune's certificate service, for tests and to try settings by hand."""
