"""The vocabulary as frozen values. Imports the standard library only."""
