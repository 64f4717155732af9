"""Takes arrays apart for the kernels: the one place where a Python object becomes a pointer.

A function of a Cython module keeps an ``Arrays`` on its stack, takes each argument with ``real``, ``optional``, ``flat``
or ``integers``, and calls ``release`` in ``finally``. Taking checks everything a kernel relies on: a C-contiguous,
aligned, native array of the right dtype and shape, writable where the kernel writes, and no overlap between what is
written and anything else. ``strided`` alone takes arrays of any strides.
"""
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport uintptr_t

cdef extern from "runtime/dispatch.h":
    int EN_F32, EN_F64

cdef enum:
    MOST_ARRAYS = 16
    ANY = -1

cdef struct Arrays:
    Py_buffer held[MOST_ARRAYS]
    bint written[MOST_ARRAYS]
    uintptr_t start[MOST_ARRAYS]  # the span of addresses that the elements lie in
    uintptr_t stop[MOST_ARRAYS]
    int count
    int dtype  # EN_F32 or EN_F64 once the first real array was taken


cdef inline bint is_little_endian() noexcept:
    cdef int one = 1
    return (<char *>&one)[0] == 1


cdef inline void release(Arrays *arrays) noexcept:
    cdef int i
    for i in range(arrays.count):
        PyBuffer_Release(&arrays.held[i])
    arrays.count = 0


cdef inline int find_span(Py_buffer *view, str name, uintptr_t *start, uintptr_t *stop) except -1:
    """Addresses from the first to behind the last element of an array of any strides; refuse unaligned strides."""
    cdef Py_ssize_t low = 0, high = view.itemsize, step
    cdef int i
    start[0] = stop[0] = <uintptr_t>view.buf
    for i in range(view.ndim):
        if view.shape[i] == 0:
            return 0
    for i in range(view.ndim):
        step = view.strides[i]
        if view.shape[i] == 1 or step == 0:
            continue
        if step % view.itemsize:
            raise ValueError(f"{name}: expected strides of whole elements")
        if <double>(view.shape[i] - 1) * <double>step > 4e18 or <double>(view.shape[i] - 1) * <double>step < -4e18:
            raise ValueError(f"{name}: expected strides that stay within memory")
        if step > 0:
            high += (view.shape[i] - 1) * step
        else:
            low += (view.shape[i] - 1) * step
    start[0] += <uintptr_t>low
    stop[0] += <uintptr_t>high
    return 0


cdef inline Py_buffer *take(Arrays *arrays, object array, str name, bint write, bint strides=False) except NULL:
    """Hold ``array``'s buffer: contiguous unless ``strides``, aligned, writable if ``write``, overlapping nothing that
    is written."""
    if arrays.count == 0:
        arrays.dtype = -1
    if arrays.count == MOST_ARRAYS:
        raise SystemError("MOST_ARRAYS in csrc/arrays.pxd is too small for this function")
    cdef Py_buffer *view = &arrays.held[arrays.count]
    cdef uintptr_t start, stop
    cdef int i
    cdef int layout = PyBUF_STRIDES if strides else PyBUF_C_CONTIGUOUS
    try:
        PyObject_GetBuffer(array, view, layout | PyBUF_FORMAT | (PyBUF_WRITABLE if write else 0))
    except TypeError:
        raise TypeError(f"{name}: expected an array, got {type(array).__name__}") from None
    except (BufferError, ValueError) as refusal:
        raise ValueError(f"{name}: expected a {'' if strides else 'C-contiguous '}{'writable ' if write else ''}array "
                         f"({refusal})") from None
    arrays.written[arrays.count] = write
    arrays.count += 1
    start = <uintptr_t>view.buf
    stop = start + <uintptr_t>view.len
    if view.buf == NULL:
        raise ValueError(f"{name}: expected an array with an address")
    if view.itemsize <= 0:  # the void dtype "V0", by which nothing can be divided
        raise TypeError(f"{name}: expected elements of some size, got format {view.format.decode()!r}")
    if view.len > 0 and start % <uintptr_t>view.itemsize:  # nothing is read from an empty array
        raise ValueError(f"{name}: expected an aligned array")
    if strides:
        find_span(view, name, &start, &stop)
    arrays.start[arrays.count - 1] = start
    arrays.stop[arrays.count - 1] = stop
    for i in range(arrays.count - 1):
        if (write or arrays.written[i]) and start < arrays.stop[i] and arrays.start[i] < stop:
            raise ValueError(f"{name}: expected memory of its own, but it overlaps another argument")
    return view


cdef inline char type_code(Py_buffer *view) noexcept:
    """The letter of a native element type as the struct module writes it, or 0 for anything else.

    Arrays made by ctypes spell the byte order out ("<d"), which is the native one on such machines.
    """
    cdef const char *format = view.format
    if format[0] == c"@" or format[0] == c"=" or format[0] == (c"<" if is_little_endian() else c">"):
        format += 1
    return format[0] if format[0] != 0 and format[1] == 0 else 0


cdef inline int check_shape(Py_buffer *view, str name, int ndim, Py_ssize_t *shape) except -1:
    """Compare with ``shape``; a size of ANY accepts anything."""
    cdef int i
    cdef bint right = view.ndim == ndim
    if right:
        for i in range(ndim):
            right = right and (shape[i] == ANY or shape[i] == view.shape[i])
    if not right:
        wanted = ", ".join(["any" if shape[i] == ANY else str(shape[i]) for i in range(ndim)])
        raise ValueError(f"{name}: expected shape ({wanted}), got {tuple([view.shape[i] for i in range(view.ndim)])}")
    return 0


cdef inline int check_dtype(Arrays *arrays, Py_buffer *view, str name) except -1:
    """Refuse anything but float32 and float64, and anything but the dtype of the first real array of the call."""
    cdef char code = type_code(view)
    cdef int dtype
    if code == c"f":
        dtype = EN_F32
    elif code == c"d":
        dtype = EN_F64
    else:
        raise TypeError(f"{name}: expected float32 or float64, got format {view.format.decode()!r}")
    if arrays.dtype != -1 and arrays.dtype != dtype:
        raise TypeError(f"{name}: expected {'float64' if arrays.dtype == EN_F64 else 'float32'} like the other arrays")
    arrays.dtype = dtype
    return 0


cdef inline void *flat(Arrays *arrays, object array, str name, bint write=False, Py_ssize_t n=ANY) except NULL:
    """Pointer to a float32 or float64 array of ``n`` elements in any shape; all of one call have the first's dtype."""
    cdef Py_buffer *view = take(arrays, array, name, write)
    check_dtype(arrays, view, name)
    if n != ANY and n != view.len // view.itemsize:
        raise ValueError(f"{name}: expected {n} elements, got {view.len // view.itemsize}")
    return view.buf


cdef inline void *real(Arrays *arrays, object array, str name, int ndim, bint write=False, Py_ssize_t d0=ANY,
                       Py_ssize_t d1=ANY, Py_ssize_t d2=ANY, Py_ssize_t d3=ANY) except NULL:
    """Pointer to a float32 or float64 array; all real arrays of one call have the dtype of the first."""
    cdef void *start = flat(arrays, array, name, write)
    cdef Py_ssize_t[4] shape = [d0, d1, d2, d3]
    check_shape(&arrays.held[arrays.count - 1], name, ndim, shape)
    return start


cdef inline void *optional(Arrays *arrays, object array, str name, int ndim, bint write=False, Py_ssize_t d0=ANY,
                           Py_ssize_t d1=ANY, Py_ssize_t d2=ANY, Py_ssize_t d3=ANY) except? NULL:
    """Like ``real``, but NULL for None."""
    return NULL if array is None else real(arrays, array, name, ndim, write, d0, d1, d2, d3)


cdef inline Py_buffer *strided(Arrays *arrays, object array, str name, bint write=False) except NULL:
    """Shape and strides of a float32 or float64 array, which may be anything but unaligned."""
    cdef Py_buffer *view = take(arrays, array, name, write, True)
    check_dtype(arrays, view, name)
    return view


cdef inline void *integers(Arrays *arrays, object array, str name, int itemsize, int ndim, bint write=False,
                           Py_ssize_t d0=ANY, Py_ssize_t d1=ANY, Py_ssize_t d2=ANY, Py_ssize_t d3=ANY) except NULL:
    """Pointer to an array of signed integers of ``itemsize`` bytes, or of bytes (bool or uint8) for ``itemsize`` 1."""
    cdef Py_buffer *view = take(arrays, array, name, write)
    cdef Py_ssize_t[4] shape = [d0, d1, d2, d3]
    cdef char code = type_code(view)
    cdef bint right = view.itemsize == itemsize and (
        code == c"?" or code == c"B" if itemsize == 1 else code == c"i" or code == c"l" or code == c"q")
    if not right:
        wanted = "uint8 or bool" if itemsize == 1 else f"int{8 * itemsize}"
        raise TypeError(f"{name}: expected {wanted}, got format {view.format.decode()!r}")
    check_shape(view, name, ndim, shape)
    return view.buf


cdef inline Py_ssize_t axis(Arrays *arrays, int index, int i) noexcept nogil:
    """Size along axis ``i`` of the ``index``-th array that was taken."""
    return arrays.held[index].shape[i]


cdef inline Py_ssize_t count(Arrays *arrays, int index) noexcept nogil:
    """Number of elements of the ``index``-th array that was taken."""
    return arrays.held[index].len // arrays.held[index].itemsize


cdef inline void *at(Arrays *arrays, void *start, Py_ssize_t i) noexcept nogil:
    """Address of element ``i`` of a real array of this call that begins at ``start``."""
    return <char *>start + i * (8 if arrays.dtype == EN_F64 else 4)
