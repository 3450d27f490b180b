"""`python -m xpm.cli` is `xpm`."""

from xpm.cli.main import main

if __name__ == "__main__":
    main()
