"""How near an engine comes to what the machine could do: work and traffic of its parts against measured peaks."""
