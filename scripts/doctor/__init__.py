"""The doctor: looks at the machine and the fleet's own files, and says in words what is wrong and what to do.

`machine` needs nothing but the standard library, so that it can explain a machine on which set-up fails;
`fleet` needs `.venv` and looks at the database, the audit chain and what was left behind.
"""
