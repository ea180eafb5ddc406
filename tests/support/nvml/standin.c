/* A libnvidia-ml.so.1 whose GPUs are described in a file beside it.
 *
 * Written after NVML's documentation: names, argument types, struct layouts and return codes are
 * the library's interface. With OLD_DRIVER it has only what drivers before MIG had; with NEWER it
 * says so.
 */
#define _GNU_SOURCE
#include "standin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, TIMEOUT = 10, VERSION_MISMATCH = 25, UNKNOWN = 999
};
enum { NONE = 0xFFFFFFFF, CRASH = 2 };

typedef uintptr_t handle; /* 1 + 32 * GPU + (0, or 1 + MIG index) */

static struct state *state;
static int events = -1;
static int users;
static uint32_t found[GPUS];

static void beside(char *path, size_t size, const char *name)
{
    Dl_info info;
    dladdr((void *)beside, &info);
    const char *slash = strrchr(info.dli_fname, '/');
    snprintf(path, size, "%.*s/%s", (int)(slash - info.dli_fname), info.dli_fname, name);
}

static void hang_while(uint32_t *set)
{
    struct timespec pause = {0, 20000000}; /* seldom: tests measure who waits for it */
    if (!*set)
        return;
    if (*set == CRASH)
        raise(SIGSEGV);
    __atomic_add_fetch(&state->hanging, 1, __ATOMIC_SEQ_CST);
    while (*(volatile uint32_t *)set)
        nanosleep(&pause, NULL);
    __atomic_sub_fetch(&state->hanging, 1, __ATOMIC_SEQ_CST);
}

static int is_of(const char *function, const struct fault *fault)
{
    size_t length = strlen(fault->function);
    return length && !strncmp(function, fault->function, length)
        && (!function[length] || !strncmp(function + length, "_v", 2));
}

/* Do what is to go wrong in a function; return its error. */
static int fail_as_told(const char *function, uint32_t gpu)
{
    for (int number = 0; number < FAULTS; number++) {
        struct fault *fault = &state->faults[number];
        if (!is_of(function, fault) || (fault->gpu != NONE && fault->gpu != gpu))
            continue;
        hang_while(&fault->hang);
        if (fault->error)
            return (int)fault->error;
    }
    return SUCCESS;
}

static int ready_for(const char *function, uint32_t gpu)
{
    if (!state || !users)
        return UNINITIALIZED;
    __atomic_add_fetch(&state->calls, 1, __ATOMIC_RELAXED);
    hang_while(&state->hang);
    return state->driver_error ? (int)state->driver_error : fail_as_told(function, gpu);
}

#define ready() ready_for(__func__, NONE)

static int visible(int number)
{
    return state->scan_at_init ? found[number] : state->gpus[number].present;
}

/* Look a handle up; `part` is NULL for a GPU as a whole. */
static int look_up(const char *function, handle device, struct gpu **gpu, struct slice **part)
{
    int known = device && (device - 1) / 32 < GPUS;
    int trouble = ready_for(function, known ? (uint32_t)((device - 1) / 32) : NONE);
    if (trouble)
        return trouble;
    if (!known)
        return INVALID_ARGUMENT;
    *gpu = &state->gpus[(device - 1) / 32];
    int number = (int)((device - 1) % 32);
    *part = number ? &(*gpu)->slices[number - 1] : NULL;
    if (*part && !(*part)->present)
        return NOT_FOUND;
    return (*gpu)->error;
}

#define LOOK_UP(device)                                      \
    struct gpu *gpu;                               \
    struct slice *part;                            \
    int trouble = look_up(__func__, device, &gpu, &part); \
    if (trouble)                                   \
        return trouble

#define LOOK_UP_GPU(device)                        \
    LOOK_UP(device);                               \
    if (part)                                      \
        return NOT_SUPPORTED

static int copy(char *to, const char *from, unsigned size)
{
    if (strlen(from) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    char path[4096];
    if (!state) {
        beside(path, sizeof path, "nvml.state");
        int file = open(path, O_RDWR | O_CLOEXEC);
        if (file < 0)
            return UNKNOWN;
        state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (state == MAP_FAILED) {
            state = NULL;
            return UNKNOWN;
        }
        beside(path, sizeof path, "nvml.events");
        events = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    if (state->init_error)
        return state->init_error;
    for (int number = 0; number < GPUS; number++)
        found[number] = state->gpus[number].present;
    users++;
    __atomic_add_fetch(&state->users, 1, __ATOMIC_SEQ_CST);
    return SUCCESS;
}

int nvmlShutdown(void)
{
    if (!users)
        return UNINITIALIZED;
    users--;
    __atomic_sub_fetch(&state->users, 1, __ATOMIC_SEQ_CST);
    return SUCCESS;
}

__attribute__((destructor)) static void unload(void)
{
    if (state)
        munmap(state, sizeof *state);
    if (events >= 0)
        close(events);
}

const char *nvmlErrorString(int code)
{
    return code == UNKNOWN ? "Unknown Error" : "Some Error";
}

int nvmlSystemGetDriverVersion(char *to, unsigned size)
{
    int trouble = ready();
#ifdef NEWER
    return trouble ? trouble : copy(to, "newer", size);
#else
    return trouble ? trouble : copy(to, state->driver, size);
#endif
}

int nvmlSystemGetCudaDriverVersion(int *version)
{
    int trouble = ready();
    if (!trouble)
        *version = (int)state->cuda;
    return trouble;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    int trouble = ready();
    if (trouble)
        return trouble;
    *count = 0;
    for (int number = 0; number < GPUS; number++)
        *count += visible(number) != 0;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *device)
{
    int trouble = ready();
    if (trouble)
        return trouble;
    for (int number = 0; number < GPUS; number++)
        if (visible(number) && !index--) {
            *device = 1 + 32 * (handle)number;
            trouble = fail_as_told(__func__, number);
            return trouble ? trouble : state->gpus[number].error;
        }
    return INVALID_ARGUMENT;
}

int nvmlDeviceGetUUID(handle device, char *to, unsigned size)
{
    LOOK_UP(device);
    return copy(to, part ? part->uuid : gpu->uuid, size);
}

int nvmlDeviceGetName(handle device, char *to, unsigned size)
{
    LOOK_UP(device);
    return copy(to, part ? part->name : gpu->name, size);
}

int nvmlDeviceGetMinorNumber(handle device, unsigned *minor)
{
    LOOK_UP_GPU(device);
    *minor = gpu->minor;
    return SUCCESS;
}

int nvmlDeviceGetVirtualizationMode(handle device, unsigned *mode)
{
    LOOK_UP_GPU(device);
    *mode = 0; /* none */
    return SUCCESS;
}

struct pci {
    char legacy[16];
    unsigned domain, bus, device, ids, subsystem_ids;
    char address[32];
};

static void set_address(struct pci *pci, unsigned bus)
{
    memset(pci, 0, sizeof *pci);
    pci->bus = bus;
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", bus & 0xFF);
    snprintf(pci->address, sizeof pci->address, "00000000:%02X:00.0", bus & 0xFF);
}

int nvmlDeviceGetPciInfo_v3(handle device, struct pci *pci)
{
    LOOK_UP(device);
    set_address(pci, gpu->bus);
    return SUCCESS;
}

struct memory {
    unsigned long long total, free, used;
};

int nvmlDeviceGetMemoryInfo(handle device, struct memory *memory)
{
    LOOK_UP(device);
    memory->total = part ? part->memory_mb << 20 : gpu->memory;
    memory->used = part ? 0 : gpu->used;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(handle device, int *major, int *minor)
{
    LOOK_UP(device);
    *major = (int)gpu->major_capability;
    *minor = (int)gpu->minor_capability;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(handle device, int sensor, unsigned *degrees)
{
    LOOK_UP_GPU(device);
    (void)sensor;
    *degrees = gpu->temperature;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(handle device, unsigned *milliwatts)
{
    LOOK_UP_GPU(device);
    *milliwatts = gpu->power_mw;
    return SUCCESS;
}

struct utilization {
    unsigned gpu, memory;
};

int nvmlDeviceGetUtilizationRates(handle device, struct utilization *rates)
{
    LOOK_UP_GPU(device);
    if (gpu->mig == 2)
        return NOT_SUPPORTED;
    rates->gpu = gpu->load;
    rates->memory = 0;
    return SUCCESS;
}

int nvmlDeviceGetTotalEccErrors(handle device, int kind, int counter, unsigned long long *count)
{
    LOOK_UP_GPU(device);
    (void)counter;
    *count = kind == 1 ? gpu->uncorrectable : 0;
    return SUCCESS;
}

int nvmlDeviceGetRetiredPagesPendingStatus(handle device, int *pending)
{
    LOOK_UP_GPU(device);
    *pending = (int)gpu->retired_pending;
    return SUCCESS;
}

int nvmlDeviceGetNvLinkState(handle device, unsigned link, unsigned *active)
{
    LOOK_UP_GPU(device);
    if (link >= LINKS)
        return INVALID_ARGUMENT;
    if (!gpu->link_kinds[link])
        return NOT_SUPPORTED;
    *active = gpu->link_kinds[link] != 3;
    return SUCCESS;
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(handle device, unsigned link, struct pci *pci)
{
    LOOK_UP_GPU(device);
    if (link >= LINKS)
        return INVALID_ARGUMENT;
    set_address(pci, gpu->link_buses[link]);
    return SUCCESS;
}

int nvmlEventSetCreate(uint32_t **set)
{
    int trouble = ready();
    if (!trouble)
        *set = calloc(GPUS, sizeof **set);
    return trouble;
}

int nvmlEventSetFree(uint32_t *set)
{
    free(set);
    return SUCCESS;
}

int nvmlDeviceGetSupportedEventTypes(handle device, unsigned long long *types)
{
    LOOK_UP_GPU(device);
    *types = gpu->eventless ? 0 : 0x1 | 0x2 | 0x8;
    return SUCCESS;
}

int nvmlDeviceRegisterEvents(handle device, unsigned long long types, uint32_t *set)
{
    LOOK_UP_GPU(device);
    if (gpu->eventless)
        return NOT_SUPPORTED;
    set[gpu - state->gpus] |= (uint32_t)types;
    return SUCCESS;
}

#ifndef OLD_DRIVER

struct event_data {
    handle device;
    unsigned long long type, data;
    unsigned instance, compute_instance;
};

static int next_event(const uint32_t *set, struct event_data *data)
{
    struct event event;
    if (read(events, &event, sizeof event) != sizeof event)
        return TIMEOUT;
    if (event.gpu < GPUS && !(set[event.gpu] & event.type))
        return TIMEOUT;
    struct event_data told = {
        event.gpu < GPUS ? 1 + 32 * (handle)event.gpu : 0,
        event.type, event.data, event.instance, event.compute_instance,
    };
    *data = told;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    state->event_returned_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    return SUCCESS;
}

int nvmlEventSetWait_v2(const uint32_t *set, struct event_data *data, unsigned milliseconds)
{
    if (!users)
        return UNINITIALIZED;
    if (state->wait_error)
        return state->wait_error;
    struct pollfd pipe = {events, POLLIN, 0};
    if (poll(&pipe, 1, (int)milliseconds) < 1)
        return TIMEOUT;
    return next_event(set, data);
}

int nvmlDeviceGetMigMode(handle device, unsigned *current, unsigned *pending)
{
    LOOK_UP_GPU(device);
    if (!gpu->mig)
        return NOT_SUPPORTED;
    *current = *pending = gpu->mig - 1;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(handle device, unsigned *count)
{
    LOOK_UP_GPU(device);
    *count = gpu->mig ? SLICES - 1 : 0;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(handle device, unsigned index, handle *mig)
{
    LOOK_UP_GPU(device);
    if (index >= SLICES - 1)
        return INVALID_ARGUMENT;
    *mig = device + 1 + index;
    return gpu->slices[index].present ? SUCCESS : NOT_FOUND;
}

struct attributes {
    unsigned multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_mb;
};

int nvmlDeviceGetAttributes_v2(handle device, struct attributes *found)
{
    LOOK_UP(device);
    if (!part)
        return NOT_SUPPORTED;
    memset(found, 0, sizeof *found);
    found->multiprocessors = part->multiprocessors;
    found->copy = found->gpu_slices = part->gpu_slices;
    found->compute_slices = part->compute_slices;
    found->memory_mb = part->memory_mb;
    return SUCCESS;
}

int nvmlDeviceGetGpuInstanceId(handle device, unsigned *id)
{
    LOOK_UP(device);
    if (!part)
        return NOT_SUPPORTED;
    *id = part->instance;
    return SUCCESS;
}

int nvmlDeviceGetComputeInstanceId(handle device, unsigned *id)
{
    LOOK_UP(device);
    if (!part)
        return NOT_SUPPORTED;
    *id = part->compute_instance;
    return SUCCESS;
}

int nvmlDeviceGetRemappedRows(handle device, unsigned *corrected, unsigned *uncorrected,
                              unsigned *pending, unsigned *failed)
{
    LOOK_UP_GPU(device);
    *corrected = gpu->remapped[0];
    *uncorrected = gpu->remapped[1];
    *pending = gpu->remapped[2];
    *failed = gpu->remapped[3];
    return SUCCESS;
}

struct field {
    uint32_t id, scope;
    int64_t time, latency;
    uint32_t type, result;
    union {
        double number;
        unsigned count;
        unsigned long long whole;
    } value;
};

int nvmlDeviceGetFieldValues(handle device, int count, struct field *fields)
{
    LOOK_UP_GPU(device);
    for (int number = 0; number < count; number++) {
        fields[number].result = fields[number].id == 230 ? SUCCESS : NOT_SUPPORTED;
        fields[number].value.count = gpu->recovery_action;
    }
    return SUCCESS;
}

int nvmlDeviceGetNvLinkRemoteDeviceType(handle device, unsigned link, unsigned *kind)
{
    LOOK_UP_GPU(device);
    if (link >= LINKS)
        return INVALID_ARGUMENT;
    *kind = gpu->link_kinds[link] == 2 ? 2 : 0;
    return SUCCESS;
}

struct fabric {
    unsigned version;
    unsigned char cluster[16];
    unsigned status, clique;
    unsigned char state;
    unsigned health;
};

int nvmlDeviceGetGpuFabricInfoV(handle device, struct fabric *fabric)
{
    LOOK_UP_GPU(device);
    if (fabric->version != (sizeof *fabric | 2 << 24))
        return VERSION_MISMATCH;
    memcpy(fabric->cluster, gpu->cluster, sizeof fabric->cluster);
    fabric->status = SUCCESS;
    fabric->clique = gpu->clique;
    fabric->state = (unsigned char)gpu->fabric_state;
    fabric->health = 0;
    return SUCCESS;
}

#endif
