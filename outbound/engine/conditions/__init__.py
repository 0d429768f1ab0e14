"""The condition language: parse, check, evaluate, explain."""
