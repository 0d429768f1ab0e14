"""The command line: one module per command, imported when it is used."""


def main() -> None:
    """Run the command that the arguments name."""
