/* What tests and the stand-in share: a file, mapped by both. Kept in step with nvml_state.py. */
#include <stdint.h>

#define GPUS 16
#define SLICES 8
#define LINKS 18
#define FAULTS 16

struct slice {
    char uuid[96];
    char name[96];
    uint32_t present, instance, compute_instance, multiprocessors, gpu_slices, compute_slices;
    uint64_t memory_mb;
};

struct gpu {
    char uuid[96];
    char name[96];
    uint32_t present; /* 0: not counted */
    uint32_t error;   /* what every call about the GPU returns */
    uint32_t minor, bus, major_capability, minor_capability;
    uint32_t mig; /* 0: cannot, 1: off, 2: on */
    uint32_t remapped[4];
    uint32_t retired_pending, recovery_action, eventless;
    uint32_t link_kinds[LINKS]; /* 0: none, 1: to a GPU, 2: to a switch, 3: down */
    uint32_t link_buses[LINKS];
    uint32_t fabric_state, clique;
    uint8_t cluster[16];
    uint32_t temperature, power_mw, load, padding;
    uint64_t memory, used, uncorrectable;
    struct slice slices[SLICES];
};

/* What one function does, of one GPU, or of any (and of the node) where `gpu` is 0xFFFFFFFF. */
struct fault {
    char function[64]; /* without a version behind it; "" for no fault */
    uint32_t gpu;
    uint32_t error; /* what it returns */
    uint32_t hang;  /* 1: it returns when this is 0 again; 2: it crashes */
};

struct state {
    uint32_t init_error;   /* what nvmlInit returns */
    uint32_t driver_error; /* what every call returns */
    uint32_t hang;         /* 1: device calls return when it is 0 again */
    uint32_t hanging;      /* how many do */
    uint32_t scan_at_init; /* 1: GPUs are found by nvmlInit alone */
    uint32_t cuda;
    uint32_t users; /* nvmlInit less nvmlShutdown */
    uint32_t wait_error;
    uint64_t event_returned_ns; /* CLOCK_MONOTONIC */
    uint64_t calls;
    char driver[96];
    struct gpu gpus[GPUS];
    struct fault faults[FAULTS];
};

/* One record in the pipe of events; a GPU beyond the last is one that cannot be told. */
struct event {
    uint32_t gpu, instance, compute_instance, padding;
    uint64_t type, data;
};
