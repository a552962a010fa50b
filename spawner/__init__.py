"""Spawner: runs daughter tasks, each kept apart from the fleet, and tells what became of them.

Owns the tables `daughter_tasks`, `daughters` and `daughter_attempts`. Calls switch (how the machine is, and prompts of
tools), hermes (programs of tools) and madre (to have either of them up). Who wants to know listens to its `job.*`
events.
"""
