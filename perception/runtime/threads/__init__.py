"""How the threads of a run begin, hand over to one another, and end."""
