"""The commands of `./vx11`, one module each; `commands` is the table of them.

A command module offers `arguments(parser)`, which declares what it takes, and `run(options, context)`,
which returns the exit code.
"""
