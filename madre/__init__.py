"""Madre: power. She decides which services are up, and is the only one who starts and stops them.

Owns the tables `power_windows`, `power_events`, `system_state` and `module_status`. Calls the services she
watches (`/ready`, `/health`) and, through a driver, whatever runs them. Start reading at `windows.py`
(what a window is), `reconcile.py` (what is done about it), `flows/reconciler.py` (the loop that does it).
"""
