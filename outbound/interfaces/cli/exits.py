"""Exit statuses: 0 fine, 1 error, 2 plan has changes, test failed or limit hit, 64 wrong usage."""

EXIT_ERROR = 1
EXIT_CHANGES = 2
EXIT_USAGE = 64
