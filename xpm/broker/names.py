"""What connections to a broker are called: by their names it is seen who is there."""

SCRIPT = "xpm-script"
"""What the names of scripts' connections begin with."""

WORKER = "xpm-worker"
"""The name of workers' connections."""

KEEPER = "xpm-keeper"
"""The name of the connection of a private server's keeper, which counts for nobody."""
