"""What keeps a domain's policy from being had, with its documented code."""


class MtaStsError(ValueError):
    """Discovery, fetch or syntax failed; `code` is documented in docs/results.md."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code and one sentence."""
        super().__init__(message)
        self.code = code
        self.message = message

    def as_dict(self) -> dict[str, str]:
        """The error as result objects show it."""
        return {"message": self.message, "code": self.code}
