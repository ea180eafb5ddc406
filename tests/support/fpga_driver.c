/* Stands in for the kernel's DFL driver in front of files: preloaded into a process, it takes the
 * requests of <linux/fpga-dfl.h> as the driver would, and keeps what the "hardware" got.
 *
 * $FPGA_DRIVER is a folder. `port<n>` in it is a link to the afu_id file of port n. An image is kept
 * as `image<n>`; its first 32 bytes are the AFU that the port then tells of. `requests` lists the
 * ports of all requests. A file `<node>.held` says that somebody has that node open; `errno` holds a
 * number to fail with, `slow` makes a request take as many milliseconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fpga-dfl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *place(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", getenv("FPGA_DRIVER"), name);
    return path;
}

static int number(const char *name)
{
    char path[512];
    int value = 0;
    FILE *file = fopen(place(path, sizeof path, name), "r");
    if (file) {
        if (fscanf(file, "%d", &value) != 1)
            value = 0;
        fclose(file);
    }
    return value;
}

static int held(const char *path, int flags)
{
    char name[512], other[512];
    const char *last = strrchr(path, '/');
    struct stat status;
    if (!last || !(flags & O_EXCL) || flags & O_CREAT)
        return 0;
    snprintf(name, sizeof name, "%s.held", last + 1);
    return stat(place(other, sizeof other, name), &status) == 0;
}

static int keep(const char *form, unsigned port, const void *data, size_t size)
{
    char name[64], path[512];
    snprintf(name, sizeof name, form, port);
    FILE *file = fopen(place(path, sizeof path, name), "w");
    if (!file)
        return -1;
    fwrite(data, 1, size, file);
    return fclose(file);
}

static void note(unsigned port)
{
    char path[512];
    FILE *file = fopen(place(path, sizeof path, "requests"), "a");
    if (file) {
        fprintf(file, "%u\n", port);
        fclose(file);
    }
}

static int program(const struct dfl_fpga_fme_port_pr *request)
{
    const void *image = (const void *)(uintptr_t)request->buffer_address;
    if (request->argsz < sizeof *request || request->flags || !request->buffer_size)
        return EINVAL;
    if (number("slow"))
        usleep(1000 * number("slow"));
    if (number("errno"))
        return number("errno");
    if (request->buffer_size < 32 || keep("image%u", request->port_id, image, request->buffer_size))
        return EINVAL;
    return keep("port%u", request->port_id, image, 32) ? ENODEV : 0;
}

/* The true driver takes one request after the other; here a second one is an error to be seen. */
static int program_alone(const struct dfl_fpga_fme_port_pr *request)
{
    char path[512];
    if (mkdir(place(path, sizeof path, "busy"), 0700))
        return EDEADLK;
    note(request->port_id);
    int result = program(request);
    rmdir(place(path, sizeof path, "busy"));
    return result;
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*next)(int, unsigned long, void *) = dlsym(RTLD_NEXT, "ioctl");
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (request != DFL_FPGA_FME_PORT_PR)
        return next(fd, request, argument);
    errno = program_alone(argument);
    return errno ? -1 : 0;
}

int open(const char *path, int flags, ...)
{
    int (*next)(const char *, int, mode_t) = dlsym(RTLD_NEXT, "open");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if (held(path, flags)) {
        errno = EBUSY;
        return -1;
    }
    return next(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
