"""Tasks that are described in other ways than as classes."""
