"""The worlds of targets: a hand uses, pretends to use or fails to use a tool of the kitchen.

One set of categories and one set of motions in two looks: `near` has the rooms, hands and cameras
of the source world, `far` shares nothing with it.
"""
