"""`python -m anyon` is the `anyon` command."""

from anyon.cli import main

if __name__ == "__main__":
    main()
