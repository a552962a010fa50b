"""The nursery: one small process of Spawner's that daughters are forked from, and the wardens that watch them.

Started by Spawner as `python -m spawner.nursery` (`spawner/adapters/nursery.py`). It holds no thread, no event loop, no
database and no secret, so a fork of it costs about a millisecond and a daughter can inherit nothing. For each order it
forks a warden; the warden forks the daughter, watches the whole tree under it, and reports.

    order.py      what Spawner asks for, one JSON line each; and what is told back
    __main__.py   reads orders, forks wardens; when Spawner is gone, everything ends
    warden.py     one daughter's guard: starts her, samples, judges, ends the tree
    limits.py     pure: which limit a sample breaks, and what an ending means
    tree.py       the processes under a warden: what they take, and their end
    folder.py     her folder: what it holds, and that it stays one that can be walked
    segments.py   output to a folder of files: the head and the tail are kept
    confine.py    what a process does to itself between fork and exec, rung by rung
    sandlocked.py the strongest rung: sandlock, in a process of its own
    landlock.py   which files may be touched (landlock(7))
    seccomp.py    which system calls may be made (seccomp(2)): the filter, made of a table
    syscalls.py   their numbers
    kernel.py     prctl and the like, which Python's library does not have
"""
