"""The addresses the relay calls from (`delivery.source_ipv4`, `source_ipv6`): has the machine them?

A warning, not a fault: at the start of a machine an address may be late.
"""

from collections.abc import Iterator

from relay.config.settings import Settings


def warnings_about_sources(settings: Settings) -> Iterator[str]:
    """One sentence for each source address that no connection can come from now."""
    delivery = settings.delivery
    named = {"source_ipv4": delivery.source_ipv4, "source_ipv6": delivery.source_ipv6}
    for key, address in named.items():
        if address and (why := _trouble(address)):
            yield (
                f"delivery.{key}: nothing can be sent from {address} ({why}): no host is "
                "reached by that family until this machine has the address"
            )


def _trouble(address: str) -> str | None:
    import socket  # commands that only read start without it

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
