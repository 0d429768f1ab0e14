"""A folder of messages to look at instead of a provider."""
