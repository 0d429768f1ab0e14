"""Import: files of customers and events, read as a stream, staged, and merged in one transaction (docs/import.md)."""
