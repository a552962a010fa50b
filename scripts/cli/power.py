"""Power windows and policies: what stays up, and for how long."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from config.contracts.power import Window, WindowClose, WindowExtend, WindowHold, WindowMode, WindowOpen
from config.services import FLEET
from scripts.cli.context import Context
from scripts.cli.door import Door, open_door
from scripts.quantities import seconds_in_words


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    opening = verbs.add_parser("open", help="hold services up for a while")
    opening.add_argument("services", nargs="+", metavar="SERVICE")
    opening.add_argument("--ttl", type=float, default=600, metavar="SECONDS", help="1 to 3600; 600 unless given")
    opening.add_argument("--hold", action="store_true", help="no deadline: until it is closed")
    opening.add_argument("--reason", default="", help="kept with the window")
    closing = verbs.add_parser("close", help="let go of a window, or of all that hold a service")
    closing.add_argument("window", nargs="?", metavar="WINDOW|SERVICE", help="the one that ends last, unless given")
    holding = verbs.add_parser("hold", help="take a window's deadline away")
    holding.add_argument("window", metavar="WINDOW")
    holding.add_argument("--release", action="store_true", help="give it a deadline again")
    extending = verbs.add_parser("extend", help="move a window's deadline")
    extending.add_argument("window", metavar="WINDOW")
    extending.add_argument("--ttl", type=float, default=600, metavar="SECONDS", help="from now; 600 unless given")
    policy = verbs.add_parser("policy", help="say which policy is in force, or apply one")
    policy.add_argument("policy", nargs="?", choices=("solo_madre", "full"))


def run(options: Namespace, context: Context) -> int:
    """Do it and say what came of it."""
    with open_door(context.settings) as door:
        context.terminal.say(act(options, door))
    return 0


def act(options: Namespace, door: Door) -> str:
    """Ask madre for what the command line says; what came of it, in words."""
    match options.verb:
        case "open":
            mode: WindowMode = "hold" if options.hold else "ttl"
            order = WindowOpen(services=options.services, ttl_sec=options.ttl, mode=mode, reason=options.reason)
            return window_in_words(door.open_window(order))
        case "close":
            if options.window in FLEET:
                return _let_sleep(options.window, door)
            return window_in_words(door.close_window(WindowClose(window_id=options.window)))
        case "hold":
            return window_in_words(door.hold_window(WindowHold(window_id=options.window, hold=not options.release)))
        case "extend":
            return window_in_words(door.extend_window(WindowExtend(window_id=options.window, ttl_sec=options.ttl)))
    return _policy(options.policy, door)


def _let_sleep(service: str, door: Door) -> str:
    """Close every window that holds `service`."""
    holding = [window.window_id for window in door.power().windows if service in window.services]
    closed = [door.close_window(WindowClose(window_id=window_id)) for window_id in holding]
    return "\n".join(window_in_words(window) for window in closed) or f"No window holds {service}."


def _policy(policy: str | None, door: Door) -> str:
    if policy is None:
        return str(door.power().policy)
    status = door.apply_policy(policy)
    return f"{policy} is in force" + ("" if status.applied else ", as it was")


def window_in_words(window: Window) -> str:
    """One line on a window."""
    words = f"{window.window_id}  {window.state}  {', '.join(window.services)}"
    if window.state not in {"opening", "open"}:
        return words
    if window.ttl_remaining_sec is None:
        return f"{words}  held open"
    return f"{words}  {seconds_in_words(window.ttl_remaining_sec)} left"
