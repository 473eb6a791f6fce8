"""Connects Acme to seg-assets: each connector in a module of its own, named as an entry point."""
