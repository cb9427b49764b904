"""What a study is made of: frozen settings, read from TOML. No torch."""
