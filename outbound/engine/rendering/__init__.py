"""Templates and the brand, compiled once and rendered per person."""
