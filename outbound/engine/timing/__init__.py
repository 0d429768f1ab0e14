"""Zones, wall clocks, windows and recurrences."""
