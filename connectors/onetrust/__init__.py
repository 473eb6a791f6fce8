"""OneTrust."""
