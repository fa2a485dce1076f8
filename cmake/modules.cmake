# wc_module(NAME [SOURCES ...] [DEPS ...]): one module, one static library target wc_NAME.
# DEPS are the modules and libraries its public headers and code may use; the table that limits
# them stands in tests/lint/includes.
function(wc_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
    add_library(wc_${name} STATIC ${arg_SOURCES})
    target_link_libraries(wc_${name} PUBLIC wc_flags ${arg_DEPS})
endfunction()
