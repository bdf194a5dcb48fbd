"""Who the relay is to a next hop (RFC 4954). Pure; a secret that shows itself nowhere."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password; both stay out of every `repr`."""

    username: str = field(repr=False)
    password: str = field(repr=False)
