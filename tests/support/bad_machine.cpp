// A machine that fails slowly, for one process: loaded before libc (LD_PRELOAD), it makes writes to the disk late or fail and sets the
// clock off, as the file says that QUORATE_TEST_MACHINE names. Each line is a word and a number; a line that is gone ends its fault:
//   sync_delay_ms N   each fsync and fdatasync waits so long, or until the line is gone
//   sync_fails N      each fails with EIO (N is 1)
//   clock_ms N        the time of day is ahead by N milliseconds
// Without the file the machine is well.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

namespace {

using ClockGettime = int (*)(clockid_t, timespec *);
using Sync = int (*)(int);

template <typename Function> Function real(const char *name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

long long fault(const char *word) {
    static const char *const path = std::getenv("QUORATE_TEST_MACHINE");
    if (path == nullptr) {
        return 0;
    }
    const int before = errno;
    long long found = 0;
    if (std::FILE *file = std::fopen(path, "r")) {
        char name[64];
        long long number;
        while (std::fscanf(file, "%63s %lld", name, &number) == 2) {
            if (std::strcmp(name, word) == 0) {
                found = number;
            }
        }
        std::fclose(file);
    }
    errno = before;
    return found;
}

long long now_ms() {
    static const auto clock = real<ClockGettime>("clock_gettime");
    timespec now;
    clock(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int sync_by(Sync sync, int fd) {
    const long long begun = now_ms();
    while (now_ms() - begun < fault("sync_delay_ms")) {
        usleep(20000);
    }
    if (fault("sync_fails") != 0) {
        errno = EIO;
        return -1;
    }
    return sync(fd);
}

} // namespace

extern "C" int fdatasync(int fd) {
    static const auto sync = real<Sync>("fdatasync");
    return sync_by(sync, fd);
}

extern "C" int fsync(int fd) {
    static const auto sync = real<Sync>("fsync");
    return sync_by(sync, fd);
}

extern "C" int clock_gettime(clockid_t id, timespec *time) {
    static const auto clock = real<ClockGettime>("clock_gettime");
    const int done = clock(id, time);
    if (done == 0 && id == CLOCK_REALTIME) {
        const long long ahead = fault("clock_ms");
        const long long nanos = time->tv_nsec + (ahead % 1000) * 1000000LL;
        time->tv_sec += ahead / 1000 + (nanos >= 1000000000LL) - (nanos < 0);
        time->tv_nsec = nanos >= 1000000000LL ? nanos - 1000000000LL : nanos < 0 ? nanos + 1000000000LL : nanos;
    }
    return done;
}
