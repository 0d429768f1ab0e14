"""The soak: a real service under a seeded mix of work and faults, and the checker at the end (docs/reliability.md)."""
