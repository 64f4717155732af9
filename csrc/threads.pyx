"""The thread pool that all compiled modules share. No arithmetic here: see runtime/threads.c."""
from cpython.pycapsule cimport PyCapsule_New

cdef extern from "runtime/threads_pool.h":
    ctypedef struct en_pool:
        pass
    const en_pool en_pool_functions
    int EN_MOST_THREADS, EN_HAS_POOL
    void en_pool_start()
    int en_pool_workers()
    int en_pool_process_limit()
    void en_pool_set_process_limit(int threads)
    int en_pool_thread_limit()
    void en_pool_set_thread_limit(int threads)

MOST = EN_MOST_THREADS
HAS_POOL = bool(EN_HAS_POOL)

en_pool_start()
pool = PyCapsule_New(<void *>&en_pool_functions, b"enilnets._ext.threads.pool", NULL)


cdef int checked(Py_ssize_t n, Py_ssize_t least) except -1:
    if not least <= n <= EN_MOST_THREADS:
        raise ValueError(f"n: expected {least} to {EN_MOST_THREADS} threads, got {n}")
    return <int>n


def workers():
    """Number of threads that the pool has started."""
    return en_pool_workers()


def process_limit():
    """Threads that a call may use, the calling one included."""
    return en_pool_process_limit()


def set_process_limit(Py_ssize_t n):
    """Let a call use at most ``n`` threads."""
    en_pool_set_process_limit(checked(n, 1))


def thread_limit():
    """Threads that a call from this thread may use, or 0 if that of the process holds."""
    return en_pool_thread_limit()


def set_thread_limit(Py_ssize_t n):
    """Let calls from this thread use at most ``n`` threads, or what the process allows for 0."""
    en_pool_set_thread_limit(checked(n, 0))
