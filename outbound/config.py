"""Settings of an installation, read once from outbound.toml and the environment."""
