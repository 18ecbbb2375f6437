/*
 * The system calls of each request, see device.py, which has the same in Python.
 *
 * None of them waits, so the interpreter's lock is kept: to give it back and take it again would take
 * as long as the call.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Answers up to this size are copied behind their header: that is faster than a second part. */
#define SMALL_BYTES 512

static PyObject *failed(const char *expected)
{
	PyErr_SetString(PyExc_TypeError, expected);
	return NULL;
}

static PyObject *receive(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	(void)module;
	if (count != 2 || !PyByteArray_CheckExact(args[1]))
		return failed("receive(descriptor, bytearray)");
	int fd = PyObject_AsFileDescriptor(args[0]);
	if (fd < 0)
		return NULL;
	Py_ssize_t size = PyByteArray_GET_SIZE(args[1]);
	if (size < (Py_ssize_t)sizeof(struct fuse_in_header))
		return failed("receive: no room for a header");
	char *buffer = PyByteArray_AS_STRING(args[1]);
	if (read(fd, buffer, size) < 0) {
		if (errno == EAGAIN)
			Py_RETURN_NONE;
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	struct fuse_in_header header;
	memcpy(&header, buffer, sizeof header);
	PyObject *fields[] = {
		PyLong_FromUnsignedLong(header.len), PyLong_FromUnsignedLong(header.opcode),
		PyLong_FromUnsignedLongLong(header.unique), PyLong_FromUnsignedLongLong(header.nodeid),
		PyLong_FromUnsignedLong(header.uid), PyLong_FromUnsignedLong(header.gid),
		PyLong_FromUnsignedLong(header.pid),
	};
	const int n = sizeof fields / sizeof *fields;
	PyObject *tuple = PyTuple_New(n);
	int whole = tuple != NULL;
	for (int i = 0; i < n; i++)
		whole = whole && fields[i];
	for (int i = 0; i < n; i++)
		if (whole)
			PyTuple_SET_ITEM(tuple, i, fields[i]);
		else
			Py_XDECREF(fields[i]);
	if (!whole)
		Py_CLEAR(tuple);
	return tuple;
}

static PyObject *answer(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	(void)module;
	if (count != 4)
		return failed("answer(descriptor, number, errno, body)");
	int fd = PyObject_AsFileDescriptor(args[0]);
	if (fd < 0)
		return NULL;
	struct {
		struct fuse_out_header header;
		char body[SMALL_BYTES];
	} small;
	small.header.unique = PyLong_AsUnsignedLongLong(args[1]);
	if (PyErr_Occurred())
		return NULL;
	small.header.error = -(int)PyLong_AsLong(args[2]);
	if (PyErr_Occurred())
		return NULL;
	Py_buffer body;
	if (PyObject_GetBuffer(args[3], &body, PyBUF_SIMPLE) < 0)
		return NULL;
	small.header.len = (uint32_t)(sizeof small.header + body.len);
	ssize_t written;
	if (body.len <= SMALL_BYTES) {
		memcpy(small.body, body.buf, body.len);
		written = write(fd, &small, small.header.len);
	} else {
		struct iovec parts[] = {{&small.header, sizeof small.header}, {body.buf, body.len}};
		written = writev(fd, parts, 2);
	}
	int error = written < 0 ? errno : 0;
	PyBuffer_Release(&body);
	if (error && error != ENOENT) {
		errno = error;
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	Py_RETURN_NONE;
}

static PyObject *readable(PyObject *module, PyObject *arg)
{
	(void)module;
	struct pollfd one = {.fd = PyObject_AsFileDescriptor(arg), .events = POLLIN};
	if (one.fd < 0)
		return NULL;
	return PyBool_FromLong(poll(&one, 1, 0) > 0);
}

static PyMethodDef methods[] = {
	{"receive", (PyCFunction)(void (*)(void))receive, METH_FASTCALL, "See device.py."},
	{"answer", (PyCFunction)(void (*)(void))answer, METH_FASTCALL, "See device.py."},
	{"readable", readable, METH_O, "See device.py."},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "eventfs.mount._device", "The system calls of each request.", 0, methods,
	NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__device(void)
{
	return PyModule_Create(&definition);
}
