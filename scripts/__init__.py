"""The command line of VX11 and the scripts of the contract.

`setup` runs in the machine's own Python before anything is installed, `cli` runs in `.venv` afterwards,
`doctor` explains a bad machine to both. What they share stands beside them: `terminal`, `quantities`,
`surroundings`.
"""
