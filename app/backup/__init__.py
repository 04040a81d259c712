"""A CA in one file: its data folder and its database, whichever kind that is, and back again."""
