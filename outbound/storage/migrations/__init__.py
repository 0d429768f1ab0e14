"""Schema history, run by outbound migrate."""
