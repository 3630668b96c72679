"""How things, ground and lamps look: colour only, no label depends on what is here."""
