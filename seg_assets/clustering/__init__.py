"""Groups of similar persons: the space they are compared in, K-Means, ids that survive refreshes, and personas in words."""
