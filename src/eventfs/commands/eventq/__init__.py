"""eventq: send to, receive from and look after the queues of an eventfs mount."""

import signal
import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    # Ctrl-C and a reader that goes away end it as they end cat: at once and without a word. What it
    # leaves behind is eventfs's to clean up. Nothing may be imported before: that takes a while.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from eventfs.commands.eventq import running  # noqa: PLC0415  # as said above

    return running.run(sys.argv[1:] if argv is None else argv)
