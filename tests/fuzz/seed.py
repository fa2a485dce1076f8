#!/usr/bin/env python3
"""Makes the seeds of fuzz_copyboth and fuzz_pgoutput from the recorded streams. No arguments."""
import pathlib

here = pathlib.Path(__file__).parent
XLOG_HEADER = 25


def main():
    copyboth = here / "corpus/fuzz_copyboth"
    pgoutput = here / "corpus/fuzz_pgoutput"
    for folder in (copyboth, pgoutput):
        folder.mkdir(parents=True, exist_ok=True)
    for capture in sorted((here / "../data/pgoutput/pg15").glob("*.hex")):
        stream = b""
        for line in capture.read_text().splitlines():
            letter, digits = line.split(" ")
            envelope = bytes.fromhex(digits)
            (copyboth / letter).write_bytes(envelope)  # one of each letter is enough
            if letter != "k":
                message = envelope[XLOG_HEADER:]
                stream += len(message).to_bytes(2, "big") + message
        (pgoutput / capture.stem).write_bytes(stream)


main()
