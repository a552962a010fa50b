"""Every prompt of the fleet: which model answers it, whether that model is in memory, and in what turn.

Owns the tables of `config/db_schema/switch.py`; reads `local_models_v2` and `cli_providers`, which are hermes'. Calls
no other service, but the endpoints and programs that are declared. Local models run in worker processes of its own
(`switch/worker/`), one each, so a bad file, a crash or a leak takes one model and not the service, and unloading is
exit. Switch itself never imports llama.cpp.
"""
