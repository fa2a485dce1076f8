#include "bridge/ops/host.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 4096, CPU_FIELDS = 8, IDLE = 3, IOWAIT = 4 };

static bool read_start(const char *path, char text[TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, TEXT_MAX - 1);
    (void)close(fd); /* nothing was written */
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool look_at_cpu(struct wc_host *h, struct wc_host_load *out)
{
    char text[TEXT_MAX];
    uint64_t f[CPU_FIELDS], total = 0;
    if (!read_start("/proc/stat", text) ||
        sscanf(text,
               "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64,
               &f[0], &f[1], &f[2], &f[3], &f[4], &f[5], &f[6], &f[7]) != CPU_FIELDS)
        return false;
    for (unsigned i = 0; i < CPU_FIELDS; i++)
        total += f[i];
    uint64_t busy = total - f[IDLE] - f[IOWAIT];
    /* iowait may go back, says proc(5) */
    uint64_t passed = total > h->total ? total - h->total : 0;
    uint64_t worked = busy > h->busy ? busy - h->busy : 0;
    out->cpu = passed ? (int64_t)(worked * 10000 / passed) : 0;
    *h = (struct wc_host){.busy = busy, .total = total};
    return true;
}

static bool look_at_load(struct wc_host_load *out)
{
    char text[TEXT_MAX];
    double avg[3];
    if (!read_start("/proc/loadavg", text) ||
        sscanf(text, "%lf %lf %lf", &avg[0], &avg[1], &avg[2]) != 3)
        return false;
    for (unsigned i = 0; i < 3; i++)
        out->avg[i] = (int64_t)(avg[i] * 100 + 0.5);
    return true;
}

static bool look_at_ram(struct wc_host_load *out)
{
    char text[TEXT_MAX];
    uint64_t total = 0, available = 0;
    if (!read_start("/proc/meminfo", text))
        return false;
    const char *at = strstr(text, "MemAvailable:");
    if (sscanf(text, "MemTotal: %" SCNu64, &total) != 1 || !at ||
        sscanf(at, "MemAvailable: %" SCNu64, &available) != 1 || total == 0 || available > total)
        return false;
    out->ram = (int64_t)((total - available) * 10000 / total);
    return true;
}

bool wc_host_look(struct wc_host *h, struct wc_host_load *out)
{
    return look_at_cpu(h, out) && look_at_load(out) && look_at_ram(out);
}
