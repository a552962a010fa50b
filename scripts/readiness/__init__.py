"""Whether a fleet is fit for production: services, database, tables, models, logs, secrets.

One module a subject, each gives findings (`scripts/doctor/finding.py`); `report.py` writes them down. Where the
doctor looks at a machine and a fleet that may not run, this looks at one that does, and insists on more.
"""
