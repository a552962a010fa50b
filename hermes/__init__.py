"""Hermes: the model registry. It finds, fetches, verifies and registers the AI models of this machine.

Owns the tables `local_models_v2` and `model_downloads`; reads Switch's `model_usage_stats` to learn what is
used. Calls no other service: whoever wants to know listens to its `job.*` and `model.*` events. Hermes cannot
see which models Switch has loaded, so removing one is announced (`model.removed`) and Switch lets it go.
"""
