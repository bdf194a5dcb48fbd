"""The whole relay and the lab, for peers that are other people's programs."""

from tests.flow.conftest import run

__all__ = ["run"]
