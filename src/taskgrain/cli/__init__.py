"""The command line: thin, and last. Each command imports what it calls when it is called."""
