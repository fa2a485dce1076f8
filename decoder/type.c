#include "decoder/type.h"

enum { SCALARS = WC_VALUE_BYTEA + 1 };

static const struct wc_type scalar[SCALARS] = {
    [WC_VALUE_STRING] = {.value_class = WC_VALUE_STRING},
    [WC_VALUE_BOOL] = {.value_class = WC_VALUE_BOOL},
    [WC_VALUE_NUMBER] = {.value_class = WC_VALUE_NUMBER},
    [WC_VALUE_LONG_NUMBER] = {.value_class = WC_VALUE_LONG_NUMBER},
    [WC_VALUE_TIMESTAMP] = {.value_class = WC_VALUE_TIMESTAMP},
    [WC_VALUE_TIMESTAMPTZ] = {.value_class = WC_VALUE_TIMESTAMPTZ},
    [WC_VALUE_JSON] = {.value_class = WC_VALUE_JSON},
    [WC_VALUE_BYTEA] = {.value_class = WC_VALUE_BYTEA},
};

#define ARRAY_OF(type, parted_by)                                                                  \
    {                                                                                              \
        .value_class = WC_VALUE_ARRAY, .delimiter = (parted_by), .element = (type)                 \
    }
#define ARRAY_OF_SCALAR(value_class) [value_class] = ARRAY_OF(&scalar[value_class], ',')

static const struct wc_type array_of[SCALARS] = {
    ARRAY_OF_SCALAR(WC_VALUE_STRING),    ARRAY_OF_SCALAR(WC_VALUE_BOOL),
    ARRAY_OF_SCALAR(WC_VALUE_NUMBER),    ARRAY_OF_SCALAR(WC_VALUE_LONG_NUMBER),
    ARRAY_OF_SCALAR(WC_VALUE_TIMESTAMP), ARRAY_OF_SCALAR(WC_VALUE_TIMESTAMPTZ),
    ARRAY_OF_SCALAR(WC_VALUE_JSON),      ARRAY_OF_SCALAR(WC_VALUE_BYTEA),
};

static const struct wc_type array_of_box = ARRAY_OF(&scalar[WC_VALUE_STRING], ';');
static const struct wc_type int2vector = {.value_class = WC_VALUE_VECTOR,
                                          .element = &scalar[WC_VALUE_NUMBER]};
static const struct wc_type oidvector = {.value_class = WC_VALUE_VECTOR,
                                         .element = &scalar[WC_VALUE_STRING]};
static const struct wc_type array_of_int2vector = ARRAY_OF(&int2vector, ',');
static const struct wc_type array_of_oidvector = ARRAY_OF(&oidvector, ',');

static const struct {
    wc_oid oid, array_oid;
    const struct wc_type *type, *array;
} table[] = {
#define STRING      &scalar[WC_VALUE_STRING], &array_of[WC_VALUE_STRING]
#define BOOL        &scalar[WC_VALUE_BOOL], &array_of[WC_VALUE_BOOL]
#define NUMBER      &scalar[WC_VALUE_NUMBER], &array_of[WC_VALUE_NUMBER]
#define LONG_NUMBER &scalar[WC_VALUE_LONG_NUMBER], &array_of[WC_VALUE_LONG_NUMBER]
#define TIMESTAMP   &scalar[WC_VALUE_TIMESTAMP], &array_of[WC_VALUE_TIMESTAMP]
#define TIMESTAMPTZ &scalar[WC_VALUE_TIMESTAMPTZ], &array_of[WC_VALUE_TIMESTAMPTZ]
#define JSON        &scalar[WC_VALUE_JSON], &array_of[WC_VALUE_JSON]
#define BYTEA       &scalar[WC_VALUE_BYTEA], &array_of[WC_VALUE_BYTEA]
    {16, 1000, BOOL},                                     /* bool */
    {17, 1001, BYTEA},                                    /* bytea */
    {18, 1002, STRING},                                   /* char */
    {19, 1003, STRING},                                   /* name */
    {20, 1016, LONG_NUMBER},                              /* int8 */
    {21, 1005, NUMBER},                                   /* int2 */
    {23, 1007, NUMBER},                                   /* int4 */
    {24, 1008, STRING},                                   /* regproc */
    {25, 1009, STRING},                                   /* text */
    {26, 1028, STRING},                                   /* oid */
    {27, 1010, STRING},                                   /* tid */
    {28, 1011, STRING},                                   /* xid */
    {29, 1012, STRING},                                   /* cid */
    {114, 199, JSON},                                     /* json */
    {142, 143, STRING},                                   /* xml */
    {600, 1017, STRING},                                  /* point */
    {601, 1018, STRING},                                  /* lseg */
    {602, 1019, STRING},                                  /* path */
    {604, 1027, STRING},                                  /* polygon */
    {628, 629, STRING},                                   /* line */
    {650, 651, STRING},                                   /* cidr */
    {700, 1021, NUMBER},                                  /* float4 */
    {701, 1022, NUMBER},                                  /* float8 */
    {718, 719, STRING},                                   /* circle */
    {774, 775, STRING},                                   /* macaddr8 */
    {790, 791, STRING},                                   /* money */
    {829, 1040, STRING},                                  /* macaddr */
    {869, 1041, STRING},                                  /* inet */
    {1033, 1034, STRING},                                 /* aclitem */
    {1042, 1014, STRING},                                 /* bpchar */
    {1043, 1015, STRING},                                 /* varchar */
    {1082, 1182, STRING},                                 /* date */
    {1083, 1183, STRING},                                 /* time */
    {1114, 1115, TIMESTAMP},                              /* timestamp */
    {1184, 1185, TIMESTAMPTZ},                            /* timestamptz */
    {1186, 1187, STRING},                                 /* interval */
    {1266, 1270, STRING},                                 /* timetz */
    {1560, 1561, STRING},                                 /* bit */
    {1562, 1563, STRING},                                 /* varbit */
    {1700, 1231, LONG_NUMBER},                            /* numeric */
    {1790, 2201, STRING},                                 /* refcursor */
    {2202, 2207, STRING},                                 /* regprocedure */
    {2203, 2208, STRING},                                 /* regoper */
    {2204, 2209, STRING},                                 /* regoperator */
    {2205, 2210, STRING},                                 /* regclass */
    {2206, 2211, STRING},                                 /* regtype */
    {2950, 2951, STRING},                                 /* uuid */
    {2970, 2949, STRING},                                 /* txid_snapshot */
    {3220, 3221, STRING},                                 /* pg_lsn */
    {3614, 3643, STRING},                                 /* tsvector */
    {3615, 3645, STRING},                                 /* tsquery */
    {3642, 3644, STRING},                                 /* gtsvector */
    {3734, 3735, STRING},                                 /* regconfig */
    {3769, 3770, STRING},                                 /* regdictionary */
    {3802, 3807, JSON},                                   /* jsonb */
    {3904, 3905, STRING},                                 /* int4range */
    {3906, 3907, STRING},                                 /* numrange */
    {3908, 3909, STRING},                                 /* tsrange */
    {3910, 3911, STRING},                                 /* tstzrange */
    {3912, 3913, STRING},                                 /* daterange */
    {3926, 3927, STRING},                                 /* int8range */
    {4072, 4073, STRING},                                 /* jsonpath */
    {4089, 4090, STRING},                                 /* regnamespace */
    {4096, 4097, STRING},                                 /* regrole */
    {4191, 4192, STRING},                                 /* regcollation */
    {4451, 6150, STRING},                                 /* int4multirange */
    {4532, 6151, STRING},                                 /* nummultirange */
    {4533, 6152, STRING},                                 /* tsmultirange */
    {4534, 6153, STRING},                                 /* tstzmultirange */
    {4535, 6155, STRING},                                 /* datemultirange */
    {4536, 6157, STRING},                                 /* int8multirange */
    {5038, 5039, STRING},                                 /* pg_snapshot */
    {5069, 271, STRING},                                  /* xid8 */
    {603, 1020, &scalar[WC_VALUE_STRING], &array_of_box}, /* box */
    {22, 1006, &int2vector, &array_of_int2vector},        /* int2vector */
    {30, 1013, &oidvector, &array_of_oidvector},          /* oidvector */
};

const struct wc_type *wc_type_builtin(wc_oid oid)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].oid == oid)
            return table[i].type;
        if (table[i].array_oid == oid)
            return table[i].array;
    }
    return NULL;
}
