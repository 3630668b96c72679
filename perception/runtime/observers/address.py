"""Where a run may be asked over HTTP."""

from typing import Final

from perception.core.errors import ConfigError

LOOPBACK: Final = "127.0.0.1"


def parse_address(address: str) -> tuple[str, int]:
    """``"9100"`` -> loopback and the port, ``"0.0.0.0:9100"`` -> both; raise `ConfigError` for anything else."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"address {address!r}: expected PORT or HOST:PORT, for example 9100")
    return host.strip("[]") or LOOPBACK, int(port)
