#!/usr/bin/env python3
"""Makes the seeds of the decoder's targets: those of fuzz_copyboth and fuzz_pgoutput from the recorded
streams, those of fuzz_value from the table below. No arguments."""
import pathlib

here = pathlib.Path(__file__).parent
XLOG_HEADER = 25


# Nodes of the type tree as fuzz_value.c reads them.
(STRING, BOOL, NUMBER, LONG_NUMBER, TIMESTAMP, TIMESTAMPTZ, JSON, BYTEA, UNKNOWN, ARRAY, BOXES, VECTOR,
 HSTORE) = range(13)


def composite(attributes):
    return 13 + 5 * attributes


VALUES = {
    "bool": ([BOOL], "t"),
    "number": ([NUMBER], "-12.50"),
    "long_number": ([LONG_NUMBER], "9007199254740993"),
    "long_numbers": ([ARRAY, LONG_NUMBER], "{1.50,NULL,NaN}"),
    "exponent": ([NUMBER], "3.4028235e+38"),
    "not_a_number": ([NUMBER], "NaN"),
    "text": ([STRING], 'he said "hi" \\ \u00e9'),
    "timestamp": ([TIMESTAMP], "2024-02-29 13:14:15.123456"),
    "timestamptz": ([TIMESTAMPTZ], "0044-03-15 01:02:03+05:30 BC"),
    "json": ([JSON], '{"a": [1, 2.50, null]}'),
    "bytea": ([BYTEA], "\\xdeadbeef"),
    "numbers": ([ARRAY, NUMBER], "{1,NULL,NaN}"),
    "dimensions": ([ARRAY, NUMBER], "[0:1][2:3]={{1,2},{3,4}}"),
    "texts": ([ARRAY, STRING], '{"a b","c,d",NULL,"q\\"x",""}'),
    "byteas": ([ARRAY, BYTEA], '{"\\\\xdead"}'),
    "boxes": ([BOXES, STRING], "{(1,1),(0,0);(2,2),(1,1)}"),
    "vector": ([VECTOR, NUMBER], "1 -2 3"),
    "hstore": ([HSTORE], '"a"=>"1", "b"=>NULL'),
    "row": ([composite(2), STRING, NUMBER], '("1 Main ""St""",5)'),
    "empty_row": ([composite(0)], "()"),
    "rows": ([ARRAY, composite(2), STRING, NUMBER], '{"(\\"1 Main\\",5)","(b,)",NULL}'),
    "row_of_rows": ([composite(3), composite(1), STRING, ARRAY, TIMESTAMPTZ, HSTORE],
                    '("(""a """"b"""""")","{""2024-02-29 13:14:15+00""}","""k""=>""v""")'),
    "unknown": ([composite(1), UNKNOWN], "()"),
}


def main():
    values = here / "corpus/fuzz_value"
    values.mkdir(parents=True, exist_ok=True)
    for name, (tree, text) in VALUES.items():
        (values / name).write_bytes(bytes(tree) + text.encode())
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
