"""The gates a message passes, in order."""
