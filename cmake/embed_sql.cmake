# cmake -DOUT=file.c "-DIN=a.sql;b.sql" -P embed_sql.cmake: SQL files as C strings. Comment lines
# are left out; what reaches the server is the statement alone. Bytes, not string literals, because
# ISO C promises only 4,095 characters of those.
set(text "#include \"sql/sql.h\"\n")
foreach(file IN LISTS IN)
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE "^q_" "wc_sql_" symbol ${name})
    string(REGEX REPLACE "^m_" "wc_migration_" symbol ${symbol})
    file(READ ${file} sql)
    string(REGEX REPLACE "(^|\n) *--[^\n]*" "\\1" sql "${sql}")
    string(STRIP "${sql}" sql)
    string(HEX "${sql}" hex)
    string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1, " hex "${hex}")
    string(APPEND text "\nconst char ${symbol}[] = {\n    ${hex}0x00};\n")
endforeach()
file(WRITE ${OUT} "${text}")
