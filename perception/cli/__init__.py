"""The command line: each command reads its arguments and makes one call; what it needs is imported inside, so help is fast."""
