"""The parts of `scripts/bench_docker.py`: the fleet as containers beside plain Docker and beside the host.

project.py    a Compose project of the bench's own, and what the engine tells of it
windows.py    opening and closing a window beside `docker compose up` and `stop`
chatting.py   chats through containers and through processes of the host
idle.py       what a fleet at rest takes
"""
