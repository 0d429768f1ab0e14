"""Outbound: personalised outbound communication, decided by rule files and recorded per customer."""

__version__ = "0.1.0"
