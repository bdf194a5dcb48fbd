"""The `relay` command; each command is a file of its own, imported when it is called."""


def main() -> None:
    """Run the command line."""
