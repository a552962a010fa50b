"""Every prompt of the fleet: which model answers it, whether that model is in memory, and in what turn.

Owns `routing_events` and `model_usage_stats`; reads `local_models_v2` (hermes' table). Calls nobody: the
models run in worker processes of its own (`switch/worker/`), one each, so a bad file, a crash or a leak
takes one model and not the service, and unloading is exit. Switch itself never imports llama.cpp.
"""
