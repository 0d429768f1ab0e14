"""Tables, migrations and one repository per noun; SQLite and PostgreSQL behind the same calls."""
