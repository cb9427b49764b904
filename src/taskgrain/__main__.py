"""`python -m taskgrain` is the command line."""

from taskgrain.cli.main import main

if __name__ == "__main__":
    main()
