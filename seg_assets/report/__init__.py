"""Pictures for people: small tables in, PNG bytes out. Nothing here reads a lake or writes a file."""
