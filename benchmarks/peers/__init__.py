"""The systems that xpm is measured beside, in an environment of their own that xpm never needs."""
