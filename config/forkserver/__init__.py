"""The fork server: a small preloaded parent from which every service is forked.

It imports the rooms once and then holds no thread, loop, socket or database, so a child shares its memory and
is up in a moment. It keeps the gateway and madre alive by itself, and starts and stops the sleepers as
madre orders over a pair of pipes. It outlives a `kill -9` of madre, and with it every running service and
the streams through it; a `kill -9` of the fork server itself takes the whole fleet along.

`supervisor.py` is the loop, `child.py` what happens between fork and service, `lines.py` the language on the
pipes, `link.py` madre's end of them, `keeping.py` when a core service is started again.
"""
