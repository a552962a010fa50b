"""Hermes: the registry of models and programs. It finds, looks at, fetches, verifies and registers AI models, and
knows the command-line AI programs of this machine.

Owns the tables `local_models_v2`, `model_downloads`, `cli_providers` and `cli_onboarding_state`; reads Switch's
`model_usage_stats` to learn what is used. Calls no other service: whoever wants to know listens to its `job.*`,
`model.*`, `program.*` and `catalogue.*` events. Hermes cannot see which models Switch has loaded, so removing one is
announced (`model.removed`) and Switch lets it go.
"""
