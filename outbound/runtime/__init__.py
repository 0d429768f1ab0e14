"""The clock and the hands: the only floor that names APScheduler and the carrier of hints."""
