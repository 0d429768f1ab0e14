"""From YAML files to a checked set of rules."""
