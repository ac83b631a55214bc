"""Debian's static Abseil libraries, in link order: every library stands before the ones it needs."""

_ORDER = [
    "statusor",
    "status",
    "hash",
    "city",
    "low_level_hash",
    "raw_hash_set",
    "hashtablez_sampler",
    "cord",
    "cordz_info",
    "cord_internal",
    "cordz_functions",
    "exponential_biased",
    "cordz_handle",
    "synchronization",
    "graphcycles_internal",
    "time",
    "civil_time",
    "time_zone",
    "bad_optional_access",
    "bad_variant_access",
    "stacktrace",
    "str_format_internal",
    "strerror",
    "symbolize",
    "debugging_internal",
    "demangle_internal",
    "malloc_internal",
    "strings",
    "strings_internal",
    "base",
    "spinlock_wait",
    "int128",
    "throw_delegate",
    "raw_logging_internal",
    "log_severity",
]

_STRINGS = [
    "str_format_internal",
    "strings",
    "strings_internal",
    "base",
    "spinlock_wait",
    "int128",
    "throw_delegate",
    "raw_logging_internal",
    "log_severity",
]

_NOT_STATUS = ["statusor", "status"]

def _linkopts(names):
    # ":lib*.a" picks the archive; a plain -l would take the shared library and with it a run-time dependency on the Debian package.
    return ["-l:libabsl_" + n + ".a" for n in _ORDER if n in names] + ["-lpthread", "-lrt"]

ABSL_STATUS = _linkopts(_ORDER)
ABSL_STRINGS = _linkopts(_STRINGS)
ABSL_CONTAINERS = _linkopts([n for n in _ORDER if n not in _NOT_STATUS])
