"""The outer ring: HTTP, SQL, the command line and the network. It imports ``ca``, never the reverse."""

VERSION = "0.1.0"
