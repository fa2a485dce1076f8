#include "bridge/match/predicate.h"

const char *wc_filter_op_text(enum wc_filter_op op)
{
    switch (op) {
#define WC_FILTER_OP(symbol, text)                                                                 \
    case WC_FILTER_##symbol:                                                                       \
        return text;
#include "bridge/match/filter_op.def"
#undef WC_FILTER_OP
    }
    return "?";
}
