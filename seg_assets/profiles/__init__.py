"""One profile per person: daily activity, features, attributes, consents."""
