"""The database's revisions, and the tool that writes the next one."""
