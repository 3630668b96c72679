"""Data of a user's own: boxes in COCO's format, class maps as pictures, and ``data.toml``, which says what its names mean here."""
