"""Use cases: one transaction or one loop each, over engine, storage and channels."""
