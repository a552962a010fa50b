"""Set-up: what turns a clean clone into a `.venv` that can run the fleet.

Runs in the machine's own Python, so standard library only. Everything installed is pinned by hash in the
`requirements*.lock` files; llama.cpp alone is compiled here, for this machine's CPU. Each layer leaves a
fingerprint in `.venv`, so that a set-up that was interrupted goes on where it stopped and a finished one
costs a few milliseconds.
"""
