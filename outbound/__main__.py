"""The console script ``outbound``."""

from outbound.interfaces.cli import main

if __name__ == "__main__":
    main()
