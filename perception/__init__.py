"""Road perception: a cascaded multi-task network from labelled data to a live, timed camera loop.

Importing this imports nothing heavy; `stream` and `load` bring what they need.
"""

__version__ = "0.1.0"
