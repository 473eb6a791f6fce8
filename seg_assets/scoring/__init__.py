"""Scores of persons: engagement and RFM. Lazy tables in, lazy tables out; what was done per day comes from `profiles/`."""
