"""Madre: power, and what a sentence becomes. She alone starts and stops services; she turns orders into plans.

Owns the tables `power_windows`, `power_events`, `system_state`, `module_status`, `tasks`, `plans`, `plan_steps`,
`confirmations`, `intents_log`, `scheduler_history`, `rails_lanes` and `rails_events`. Calls the services she watches
(`/ready`, `/health`), those that do the steps of plans (switch, hermes, spawner) and, through a driver, whatever runs
services. Start reading, for power, at `windows.py` (what a window is), `reconcile.py` (what is done about it) and
`flows/reconciler.py` (the loop that does it); for plans at `actions/` (all that can be asked for), `language/` (how a
sentence becomes intents), `draft.py` (how intents become a plan), `risk/`, `confirmation.py`, and `flows/steps.py`.
"""
