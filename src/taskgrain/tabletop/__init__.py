"""The embedded world: scenes as records of factors, drawn, written as a real dataset."""
