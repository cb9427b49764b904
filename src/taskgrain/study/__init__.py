"""A study: its plan of cells, what each cell computes, and how they are run and resumed."""
