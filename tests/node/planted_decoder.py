"""A decoder that does what a damaged file might make one do. `python planted_decoder.py` serves.

What it is to do is the data set: `hang`, `crash`, `explode`, `exit`, `leave`, `open`, `print`,
`clock`; anything else is answered in capitals.
"""

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from meshpacs.archive.decoder import serve
from meshpacs.archive.decoding import Admit, decode
from meshpacs.archive.faults import Reason, Refused
from meshpacs.dimse.syntaxes import KEYWORDS


def planted(data: bytes, source: str, target: str, admit: Admit) -> bytes:
    admit(len(data))
    match data:
        case b"hang":
            time.sleep(3600)
        case b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"explode":
            # More than a decoder may have for so few pixels, and less than the machine has.
            return b"".join(bytes(64 * 1024 * 1024) for _ in range(64))
        case b"clock":
            data = str(signal.getitimer(signal.ITIMER_REAL)[0]).encode()
        case b"open":
            for opening in (lambda: Path(__file__).read_bytes(), socket.socket, os.pipe):
                with suppress(OSError):
                    opening()
                    data = b"opened"
        case b"leave":
            os.closerange(3, 256)  # as when Python ends, a while before it has
            time.sleep(0.2)
            os._exit(5)
        case b"exit":
            os._exit(3)
        case b"print":
            os.write(1, b"Corrupt JPEG data: 7 extraneous bytes\n")
            print("and more of it", flush=True)
        case b"refuse":
            raise Refused(Reason.MALFORMED, "It is not what it says.")
        case _:
            pass
    return data.upper() + source.encode() + target.encode()


def harmed(data: bytes, source: str, target: str, admit: Admit) -> bytes:
    """`planted_decoder.py WORD SYNTAX`: decodes, but does that where it meets that syntax."""
    word, keyword = sys.argv[1:]
    if source == KEYWORDS[keyword]:
        return planted(word.encode(), source, target, admit)
    return decode(data, source, target, admit)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(harmed)
    elif sys.argv[1:] == ["lie"]:
        sys.stdin.buffer.read(1)
        sys.stdout.buffer.write(b"\1" + b"\xff" * 8)
        sys.stdout.flush()
        time.sleep(3600)
    else:
        serve(planted)
