"""The end-to-end conductor: five phases through a running fleet, the machine watched meanwhile, evidence kept.

`stage.py` holds what the phases share, `phases.py` what each does, `machine.py` watches CPU and memory,
`conducting.py` plays the phases in order, `evidence.py` writes the folder.
"""
