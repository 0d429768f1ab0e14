"""The public test kit: real servers to send to, and the checker that compares them with the record."""
