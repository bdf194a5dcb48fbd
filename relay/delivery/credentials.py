"""Who the relay is to a next hop (RFC 4954). Pure; a secret that shows itself nowhere."""

from dataclasses import field

from relay.immutable import immutable


@immutable
class Credentials:
    """A user name and its password; both stay out of every `repr`."""

    username: str = field(repr=False)
    password: str = field(repr=False)
