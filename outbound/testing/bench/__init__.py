"""Benches that need real servers and adapters: they belong to the test kit, which may use both."""
