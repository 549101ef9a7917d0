/* A disk of known speed: every flush takes one millisecond, as on a cloud volume, and writes nothing. For throw-away clusters. */
#include <time.h>

static int flush_takes_a_millisecond(void)
{
    struct timespec left = {0, 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
    return 0;
}

int fdatasync(int file)
{
    (void)file;
    return flush_takes_a_millisecond();
}

int fsync(int file)
{
    (void)file;
    return flush_takes_a_millisecond();
}
