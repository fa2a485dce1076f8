# Flags every target of ours gets. Third-party headers come in as SYSTEM and are exempt.
add_library(wc_flags INTERFACE)
target_compile_options(wc_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wvla -Wcast-qual -Wcast-align -Wwrite-strings -Wformat=2 -Wundef
    -Wswitch-enum -Wpointer-arith -fno-common -Werror)
target_compile_definitions(wc_flags INTERFACE _GNU_SOURCE)
target_include_directories(wc_flags INTERFACE ${PROJECT_SOURCE_DIR})

if(WC_SANITIZE)
    target_compile_options(wc_flags INTERFACE -fsanitize=${WC_SANITIZE} -fno-sanitize-recover=all
        -fno-omit-frame-pointer -g)
    target_link_options(wc_flags INTERFACE -fsanitize=${WC_SANITIZE})
endif()
if(WC_COVERAGE)
    target_compile_options(wc_flags INTERFACE --coverage -fprofile-update=atomic)
    target_link_options(wc_flags INTERFACE --coverage)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT WC_SANITIZE)
    target_compile_options(wc_flags INTERFACE -O2 -g1 -fstack-protector-strong)
    target_compile_definitions(wc_flags INTERFACE NDEBUG
        $<IF:$<C_COMPILER_ID:GNU>,_FORTIFY_SOURCE=3,_FORTIFY_SOURCE=2>)
    target_link_options(wc_flags INTERFACE -pie -Wl,-z,relro,-z,now)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_definitions(wc_flags INTERFACE WC_DEBUG)
endif()
