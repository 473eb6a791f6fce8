"""People Data Labs."""
