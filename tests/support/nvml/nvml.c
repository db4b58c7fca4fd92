/* A stand-in for libnvidia-ml.so.1, for the real pynvml to load.

   What it answers stands in the text file that FAKE_NVML names, and is read at each call: a line `key value`.
   A function's answer: `FUNCTION.GPU`, `FUNCTION`, `all.GPU` or `all` = an NVML return code. A value: `NAME.GPU` or
   `NAME`; text as hexadecimal digits. `delay_ms.FUNCTION` or `delay_ms` delays. `kernel` is the version of the kernel
   module: a library of another VERSION answers 18. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#ifndef VERSION
#define VERSION 550
#endif
#define MAX_GPUS 64
#define TEXT 1024

typedef struct { int index; } gpu;
static gpu gpus[MAX_GPUS];
static int initialized;

static int find(const char *key, char *value) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[TEXT * 4];
    size_t length = strlen(key);
    int found = 0;
    if (!file) return 0;
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, key, length) && line[length] == ' ') {
            strncpy(value, line + length + 1, TEXT * 2 - 1);
            found = 1;
        }
    }
    fclose(file);
    return found;
}

static int of(const char *name, int index, char *value) {
    char key[200];
    if (index >= 0) {
        snprintf(key, sizeof key, "%s.%d", name, index);
        if (find(key, value)) return 1;
    }
    return find(name, value);
}

static unsigned long long number(const char *name, int index, unsigned long long otherwise) {
    char value[TEXT * 2] = "";
    return of(name, index, value) ? strtoull(value, NULL, 0) : otherwise;
}

static int answer(const char *function, int index) {
    char key[200];
    long ms;
    snprintf(key, sizeof key, "delay_ms.%s", function);
    ms = (long)number(key, -1, number("delay_ms", -1, 0));
    if (ms) {
        struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    if (number("kernel", -1, VERSION) != VERSION) return 18;
    return (int)number(function, index, number("all", index, 0));
}

static int text(const char *name, int index, const char *otherwise, char *out, unsigned size) {
    char value[TEXT * 2] = "";
    unsigned at = 0;
    if (!of(name, index, value)) {
        snprintf(out, size, otherwise, index);
        return 0;
    }
    for (; at + 1 < size && value[2 * at] && value[2 * at + 1]; at++) {
        char pair[3] = {value[2 * at], value[2 * at + 1], 0};
        out[at] = (char)strtoul(pair, NULL, 16);
    }
    out[at] = 0;
    return 0;
}

#define BEGIN(index)                               \
    int ret = answer(__func__, index);             \
    if (!initialized) return 1;                    \
    if (ret) return ret

int nvmlInitWithFlags(unsigned flags) {
    int ret = answer(__func__, -1);
    (void)flags;
    if (!ret) initialized++;
    return ret;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) {
    BEGIN(-1);
    initialized--;
    return 0;
}
const char *nvmlErrorString(int ret) { (void)ret; return "an error"; }
int nvmlDeviceGetCount_v2(unsigned *count) {
    BEGIN(-1);
    *count = (unsigned)number("count", -1, 1);
    return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, gpu **handle) {
    BEGIN((int)index);
    if (index >= MAX_GPUS) return 2;
    gpus[index].index = (int)index;
    *handle = &gpus[index];
    return 0;
}
int nvmlDeviceGetName(gpu *h, char *out, unsigned size) {
    BEGIN(h->index);
    return text("name", h->index, "NVIDIA GeForce RTX 4090", out, size);
}
int nvmlDeviceGetUUID(gpu *h, char *out, unsigned size) {
    BEGIN(h->index);
    return text("uuid", h->index, "GPU-%d", out, size);
}
int nvmlDeviceGetMemoryInfo(gpu *h, unsigned long long *memory) {
    BEGIN(h->index);
    memory[0] = number("memory_total", h->index, 24564ULL << 20);
    memory[2] = number("memory_used", h->index, 20480ULL << 20);
    memory[1] = memory[0] - memory[2];
    return 0;
}
int nvmlDeviceGetUtilizationRates(gpu *h, unsigned *rates) {
    BEGIN(h->index);
    rates[0] = (unsigned)number("utilization", h->index, 93);
    rates[1] = 10;
    return 0;
}

/* Functions that give one number: its name in the file, and what it is where the file does not say. */
#define UNSIGNED(function, name, otherwise)                      \
    int function(gpu *h, unsigned *out) {                        \
        BEGIN(h->index);                                         \
        *out = (unsigned)number(name, h->index, otherwise);      \
        return 0;                                                \
    }
#define LONG(function, name, otherwise)                          \
    int function(gpu *h, unsigned long long *out) {              \
        BEGIN(h->index);                                         \
        *out = number(name, h->index, otherwise);                \
        return 0;                                                \
    }
#define CHOSEN(function, name, otherwise)                        \
    int function(gpu *h, unsigned which, unsigned *out) {        \
        (void)which;                                             \
        BEGIN(h->index);                                         \
        *out = (unsigned)number(name, h->index, otherwise);      \
        return 0;                                                \
    }
UNSIGNED(nvmlDeviceGetPowerUsage, "milliwatts", 390500)
UNSIGNED(nvmlDeviceGetFanSpeed, "fan", 40)
UNSIGNED(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width", 16)
UNSIGNED(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max", 16)
UNSIGNED(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation", 4)
UNSIGNED(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_max", 4)
UNSIGNED(nvmlDeviceGetPerformanceState, "performance_state", 0)
UNSIGNED(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pending", 0)
CHOSEN(nvmlDeviceGetTemperature, "temperature", 71)
CHOSEN(nvmlDeviceGetClockInfo, "clock", 2520)
LONG(nvmlDeviceGetCurrentClocksThrottleReasons, "throttle", 0)
LONG(nvmlDeviceGetCurrentClocksEventReasons, "throttle", 0)
LONG(nvmlDeviceGetTotalEnergyConsumption, "millijoules", 5000000)

int nvmlDeviceGetTotalEccErrors(gpu *h, unsigned type, unsigned counter, unsigned long long *out) {
    (void)counter;
    BEGIN(h->index);
    *out = number(type ? "ecc_uncorrected" : "ecc_corrected", h->index, 0);
    return 0;
}
int nvmlDeviceGetRemappedRows(gpu *h, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
    BEGIN(h->index);
    *corrected = (unsigned)number("remapped_corrected", h->index, 0);
    *uncorrected = (unsigned)number("remapped_uncorrected", h->index, 0);
    *pending = (unsigned)number("remapped_pending", h->index, 0);
    *failed = (unsigned)number("remapped_failed", h->index, 0);
    return 0;
}
int nvmlDeviceGetRetiredPages(gpu *h, unsigned cause, unsigned *count, unsigned long long *addresses) {
    unsigned pages;
    (void)cause;
    BEGIN(h->index);
    pages = (unsigned)number("retired_pages", h->index, 0);
    if (addresses) memset(addresses, 0, sizeof *addresses * (pages < *count ? pages : *count));
    ret = !addresses && pages ? 7 : 0;
    *count = pages;
    return ret;
}
int nvmlDeviceGetMigMode(gpu *h, unsigned *current, unsigned *pending) {
    BEGIN(h->index);
    *current = *pending = (unsigned)number("mig", h->index, 0);
    return 0;
}
typedef struct { unsigned pid; unsigned long long used; unsigned instance, compute; } process;
int nvmlDeviceGetComputeRunningProcesses_v3(gpu *h, unsigned *count, process *out) {
    unsigned there;
    BEGIN(h->index);
    there = (unsigned)number("processes", h->index, 0);
    if (out) memset(out, 0, sizeof *out * (there < *count ? there : *count));
    ret = !out && there ? 7 : 0;
    *count = there;
    return ret;
}
typedef struct {
    unsigned field, scope;
    long long timestamp, latency;
    unsigned type;
    int ret;
    unsigned long long value;
} field;
int nvmlDeviceGetFieldValues(gpu *h, int count, field *fields) {
    int at;
    BEGIN(h->index);
    for (at = 0; at < count; at++) {
        fields[at].type = 1;
        fields[at].ret = 0;
        fields[at].value = number("recovery_action", h->index, 0);
    }
    return 0;
}

/* Events: `xid.GPU` is the code of an event; one is reported for each new value of `xid_number`. */
static unsigned long long reported;
int nvmlEventSetCreate(void **set) {
    BEGIN(-1);
    reported = number("xid_number", -1, 0);
    *set = &reported;
    return 0;
}
int nvmlDeviceRegisterEvents(gpu *h, unsigned long long types, void *set) {
    (void)types;
    (void)set;
    BEGIN(h->index);
    return 0;
}
typedef struct { gpu *device; unsigned long long type, data; unsigned instance, compute; } event;
int nvmlEventSetWait_v2(void *set, event *out, unsigned timeout_ms) {
    struct stat before = {0}, now = {0};
    unsigned waited = 0;
    (void)set;
    BEGIN(-1);
    if (number("hasty", -1, 0)) return 10;
    for (; waited < timeout_ms; waited += 100) {
        struct timespec pause = {0, 100000000};
        /* A real driver waits at no cost: the file is read where it may have changed, and nowhere else. */
        stat(getenv("FAKE_NVML") ?: "", &now);
        if (memcmp(&now.st_mtim, &before.st_mtim, sizeof now.st_mtim) && number("xid_number", -1, 0) > reported) {
            int index = (int)number("xid_gpu", -1, 0);
            reported++;
            memset(out, 0, sizeof *out);
            out->device = &gpus[index];
            out->type = 8;
            out->data = number("xid", -1, 79);
            return 0;
        }
        before = now;
        nanosleep(&pause, NULL);
    }
    return 10;
}
int nvmlEventSetFree(void *set) {
    (void)set;
    BEGIN(-1);
    return 0;
}
