"""The cases of `./vx11 bench serving`: one module a promise of issue 3, each measured beside its peer in one run."""
