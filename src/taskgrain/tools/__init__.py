"""Every command beside studies: each folder has all of one, its command-line function included.

The front door imports every `command.py` for the help. So these load nothing but typer until their
function is called, and name the values of options again, where the modules that have them would
load numpy or torch.
"""
