"""What keeps a domain's policy from being had, with its documented code."""

from relay.evidence import Handshake


class MtaStsError(ValueError):
    """Discovery, fetch or syntax failed; `code` is documented in docs/results.md.

    `next_try`, in seconds since 1970, is when a look-up that failed for `record_id` is tried again;
    None where nothing is known of that. `handshake` None: no certificate was refused.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        record_id: str | None = None,
        next_try: float | None = None,
        handshake: Handshake | None = None,
    ) -> None:
        """Keep the code and one sentence."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.record_id = record_id
        self.next_try = next_try
        self.handshake = handshake

    def as_dict(self) -> dict[str, str]:
        """The error as result objects show it."""
        return {"message": self.message, "code": self.code}
