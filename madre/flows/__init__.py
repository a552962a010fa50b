"""Madre's use cases. `reconciler.py` owns what is known of the services and alone acts on them; the others
change what is desired, in the database, nudge the reconciler and wait for what it makes of it.
"""
