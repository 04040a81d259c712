"""The inner ring: SCEP, CMS, X.509, policy and issuance. No HTTP, no SQL, no command line."""
