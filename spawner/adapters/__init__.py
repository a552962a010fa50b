"""The rest of the world, as spawner meets it: the nursery and its ladder of isolation, folders, output, old tries."""
