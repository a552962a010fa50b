"""What hermes does, step by step: pulls (jobs that bring models), the registry, and scans of the models folder."""
