"""Connectors and the interface they are written against. Imports nothing of `seg_assets`; authors use `seg_assets.sdk`."""
