"""Adobe Marketo Engage."""
