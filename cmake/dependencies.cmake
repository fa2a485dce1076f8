# Libraries, by pkg-config; the Debian packages are listed in tools/packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(lib IN ITEMS libpq libwebsockets libuv libsodium libcrypto libssl libcurl zlib
        libprotobuf-c)
    pkg_check_modules(${lib} REQUIRED IMPORTED_TARGET ${lib})
endforeach()
find_library(LIBPG_QUERY pg_query REQUIRED) # brings no file for pkg-config
