"""The rest of the world, as hermes meets it: the models folder, web servers, the package index, local files."""
