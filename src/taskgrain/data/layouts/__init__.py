"""The layouts that datasets come in, a module for each kind."""
