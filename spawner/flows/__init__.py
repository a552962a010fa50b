"""The use cases of spawner: taking jobs on, running them, settling how they ended, showing them and what they say."""
