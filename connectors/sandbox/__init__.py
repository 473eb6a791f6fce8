"""Small local stand-ins for vendors, for demos and tests: real HTTP, real state, no accounts."""
