"""Local stand-ins for vendors, for demos and tests: real HTTP, real state, faults on demand, no accounts. For this machine only.

What all stand-ins share lives here; each vendor's own lives in `connectors/<vendor>/emulation.py`.
"""
