"""The worker: one process that holds one loaded model and answers for it over a Unix socket.

Started by Switch as `python -m switch.worker`, one per loaded model, so that a bad file, a crash or a
leak takes one model with it and unloading is an exit. It owns no table and calls nobody.

    spec.py      what the parent hands over on stdin, and the environment it must start us with
    binding.py   the only importer of llama.cpp     library.py   Model, Context     drawing.py   Sampler
    backends.py  the module of llama.cpp that is made for this CPU, where a build has several
    schema.py    a JSON schema as a grammar, with ranges.py and pattern.py for what is in it
    batch.py     pure: who gives how many tokens to the next batch
    sequence.py  pure: the state of one request while it is generated
    text.py      pure: bytes of tokens to text that may be shown, across token and stop-string borders
    sampling.py  the request's sampling parameters as a chain of llama.cpp samplers
    template.py  the model's chat template, sandboxed
    engine.py    the one thread that owns the context and batches continuously
    tickets.py   a request on its way through it
    prefixes.py  what was read once and where, over radix.py (who holds which tokens) and cells.py (which cells)
    archive.py   what left KV memory: states.py in RAM, state_files.py on disk, memory.py for reading and writing them
    watch.py     how many threads a step may use, decided in pressure.py (pure) from what cores.py reads
    canary.py    the first decode, which proves that this build works on this machine
    answers.py   answer bodies and stream events (request bodies: switch/openai/)
    outlet.py    from the engine's thread to a coroutine    meter.py  counts and rates
    server.py    HTTP over the socket                       __main__.py  the life of the process
"""
