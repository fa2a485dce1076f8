# cmake -DOUT=file.c -DIN=file -DSYMBOL=name -P embed_file.cmake: a file as bytes, `SYMBOL` and
# `SYMBOL_len`, declared in HEADER.
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR len "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " hex "${hex}")
file(WRITE ${OUT} "#include \"${HEADER}\"\n\nconst unsigned char ${SYMBOL}[] = {\n    ${hex}};\nconst size_t ${SYMBOL}_len = ${len};\n")
