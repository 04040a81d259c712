"""The outer ring: HTTP, SQL, HTML, the command line and the network. It imports ``ca``, never the other way."""

VERSION = "0.1.0"
