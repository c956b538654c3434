"""What a user types, one module each: `cli` parses and shows, these do."""
