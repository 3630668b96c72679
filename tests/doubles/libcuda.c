/* A test double of NVIDIA's driver library: the memory is the host's, nothing is computed. pycuda and cuda.bindings run on it unchanged.

   It is as late as a driver may be: what is queued in a stream is done only when someone waits for it, in the order that streams and
   events promise and no other. So whoever reads too early, or overwrites what is still to be copied, gets wrong values.
   It cannot show: speed, what a kernel computes, a driver's own faults. Kernels and textures are refused (801). A stream that is being
   captured keeps its work for the graph; to wait for it then is an error (900), as the driver has it.

   CUDA_DOUBLE_DEVICES: number of GPUs, 1 where unset. CUDA_DOUBLE_BYTES: memory of each. CUDA_DOUBLE_CAPABILITY: as 86.
   CUDA_DOUBLE_NO_GRAPHS: 1 where no graph may be made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DONE, INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALISED, NO_DEVICE = 100, INVALID_DEVICE, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, CAPTURING = 900, NOT_SUPPORTED = 801 };
enum { HOST, DEVICE, KINDS };
enum { COPY, FILL, RECORD, WAIT, CALL };

typedef struct Block { struct Block *next; char *start; size_t size; int kind; } Block;
typedef struct Event { struct Stream *queued; int recorded; struct timespec at; } Event;
typedef struct Work { struct Work *next; int kind, value; char *to, *from; size_t size; Event *event; void (*call)(void *); void *arg; } Work;
typedef struct Graph { Work *first, **last; int invalid; } Graph;
typedef struct Stream { struct Stream *next; Work *first, **last; Graph *capture; } Stream;

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static Block *blocks;
static Stream *streams, idle; /* idle: the default stream */
static long live_events, live_streams, live_graphs, retained;
static size_t used;
static int initialised, fault, primary; /* fault: sticky, as a real one is */
static __thread void *stack[64];
static __thread int depth;

static long setting(const char *name, long otherwise) { const char *text = getenv(name); return text ? atol(text) : otherwise; }
static size_t total(void) { return (size_t)setting("CUDA_DOUBLE_BYTES", 8L << 30); }

static Block *holding(const char *start, size_t size)
{
    for (Block *b = blocks; b; b = b->next)
        if (start >= b->start && start + size <= b->start + b->size) return b;
    return 0;
}

static void finish(Stream *s);

static void perform(Stream *s, Work *w)
{
    (void)s;
    switch (w->kind) {
    case COPY:
        if ((w->value & 1 && !holding(w->to, w->size)) || (w->value & 2 && !holding(w->from, w->size))) fault = ILLEGAL_ADDRESS;
        else memcpy(w->to, w->from, w->size);
        break;
    case FILL:
        if (!holding(w->to, w->size)) fault = ILLEGAL_ADDRESS;
        else memset(w->to, w->value, w->size);
        break;
    case RECORD: clock_gettime(CLOCK_MONOTONIC, &w->event->at); w->event->recorded = 1; w->event->queued = 0; break;
    case WAIT: if (w->event->queued) finish(w->event->queued); break;
    case CALL: w->call(w->arg); break;
    }
}

static void finish(Stream *s)
{
    while (s->first) {
        Work *w = s->first;
        s->first = w->next;
        if (!s->first) s->last = &s->first;
        perform(s, w);
        free(w);
    }
}

static void finish_all(void)
{
    finish(&idle);
    for (Stream *s = streams; s; s = s->next) finish(s);
}

static Work *queue(Stream *s, int kind)
{
    Work *w = calloc(1, sizeof *w);
    if (!s) s = &idle;
    if (!s->last) s->last = &s->first;
    w->kind = kind;
    if (s->capture) {
        *s->capture->last = w;
        s->capture->last = &w->next;
        return w;
    }
    *s->last = w;
    s->last = &w->next;
    return w;
}

#define ENTER pthread_mutex_lock(&gate)
#define LEAVE(code) do { int left = (code); pthread_mutex_unlock(&gate); return left; } while (0)
#define NEED_CONTEXT ENTER; if (!initialised) LEAVE(NOT_INITIALISED); if (!depth) LEAVE(INVALID_CONTEXT); if (fault) LEAVE(fault)

int cuInit(unsigned flags) { (void)flags; if (setting("CUDA_DOUBLE_DEVICES", 1) < 1) return NO_DEVICE; initialised = 1; return DONE; }
int cuDriverGetVersion(int *v) { *v = 13000; return DONE; }
int cuDeviceGetCount(int *n) { if (!initialised) return NOT_INITIALISED; *n = (int)setting("CUDA_DOUBLE_DEVICES", 1); return DONE; }
int cuDeviceGet(int *d, int i) { if (!initialised) return NOT_INITIALISED; if (i < 0 || i >= setting("CUDA_DOUBLE_DEVICES", 1)) return INVALID_DEVICE; *d = i; return DONE; }
int cuDeviceGetName(char *text, int n, int d) { (void)d; snprintf(text, (size_t)n, "test double"); return DONE; }
int cuDeviceComputeCapability(int *a, int *b, int d) { (void)d; long c = setting("CUDA_DOUBLE_CAPABILITY", 86); *a = (int)(c / 10); *b = (int)(c % 10); return DONE; }
int cuDeviceGetAttribute(int *v, int which, int d) { int a, b; cuDeviceComputeCapability(&a, &b, d); *v = which == 75 ? a : which == 76 ? b : 1; return DONE; }
int cuDeviceTotalMem_v2(size_t *n, int d) { (void)d; *n = total(); return DONE; }
int cuDeviceGetPCIBusId(char *text, int n, int d) { (void)d; snprintf(text, (size_t)n, "0000:00:00.0"); return DONE; }

int cuDevicePrimaryCtxRetain(void **c, int d) { (void)d; if (!initialised) return NOT_INITIALISED; ENTER; retained++; *c = &primary; LEAVE(DONE); }
int cuDevicePrimaryCtxRelease_v2(int d) { (void)d; ENTER; if (retained < 1) LEAVE(INVALID_CONTEXT); retained--; LEAVE(DONE); }
int cuCtxPushCurrent_v2(void *c) { if (!c || depth == 64) return INVALID_CONTEXT; stack[depth++] = c; return DONE; }
int cuCtxPopCurrent_v2(void **c) { if (!depth) return INVALID_CONTEXT; depth--; if (c) *c = stack[depth]; return DONE; }
int cuCtxGetCurrent(void **c) { *c = depth ? stack[depth - 1] : 0; return DONE; }
int cuCtxSetCurrent(void *c) { if (depth) stack[depth - 1] = c; else stack[depth++] = c; return DONE; }
int cuCtxGetDevice(int *d) { if (!depth) return INVALID_CONTEXT; *d = 0; return DONE; }
int cuCtxGetApiVersion(void *c, unsigned *v) { (void)c; *v = 13000; return DONE; }
int cuCtxSynchronize(void) { NEED_CONTEXT; finish_all(); LEAVE(fault); }
int cuCtxDetach(void *c) { (void)c; return DONE; }

static int take(void **start, size_t size, int kind)
{
    if (!size) return INVALID_VALUE;
    if (kind == DEVICE && used + size > total()) return OUT_OF_MEMORY;
    Block *b = malloc(sizeof *b);
    *b = (Block){blocks, malloc(size), size, kind};
    memset(b->start, 0xA5, size);
    blocks = b;
    if (kind == DEVICE) used += size;
    *start = b->start;
    return DONE;
}

static int give_back(char *start, int kind)
{
    finish_all(); /* as the driver does */
    for (Block **b = &blocks; *b; b = &(*b)->next)
        if ((*b)->start == start && (*b)->kind == kind) {
            Block *gone = *b;
            *b = gone->next;
            if (kind == DEVICE) used -= gone->size;
            memset(gone->start, 0xDD, gone->size);
            free(gone->start);
            free(gone);
            return DONE;
        }
    return INVALID_VALUE;
}

int cuMemAlloc_v2(void **p, size_t n) { NEED_CONTEXT; LEAVE(take(p, n, DEVICE)); }
int cuMemFree_v2(char *p) { NEED_CONTEXT; LEAVE(give_back(p, DEVICE)); }
int cuMemHostAlloc(void **p, size_t n, unsigned flags) { (void)flags; NEED_CONTEXT; LEAVE(take(p, n, HOST)); }
int cuMemFreeHost(char *p) { NEED_CONTEXT; LEAVE(give_back(p, HOST)); }
int cuMemHostGetDevicePointer_v2(void **d, void *p, unsigned flags) { (void)flags; *d = p; return DONE; }
int cuMemGetInfo_v2(size_t *rest, size_t *all) { NEED_CONTEXT; *all = total(); *rest = total() - used; LEAVE(DONE); }

/* sides: 1 where the target must be a live block, 2 where the source must be */
static int copy(char *to, char *from, size_t n, Stream *s, int sides)
{
    if ((sides & 1 && !holding(to, n)) || (sides & 2 && !holding(from, n))) return INVALID_VALUE;
    Work *w = queue(s, COPY);
    w->to = to, w->from = from, w->size = n, w->value = sides;
    return DONE;
}

int cuMemcpyHtoDAsync_v2(char *d, char *h, size_t n, Stream *s) { NEED_CONTEXT; LEAVE(copy(d, h, n, s, 1)); }
int cuMemcpyDtoHAsync_v2(char *h, char *d, size_t n, Stream *s) { NEED_CONTEXT; LEAVE(copy(h, d, n, s, 2)); }
int cuMemcpyDtoDAsync_v2(char *d, char *e, size_t n, Stream *s) { NEED_CONTEXT; LEAVE(copy(d, e, n, s, 3)); }
int cuMemcpyHtoD_v2(char *d, char *h, size_t n) { NEED_CONTEXT; int r = copy(d, h, n, 0, 1); finish(&idle); LEAVE(r ? r : fault); }
int cuMemcpyDtoH_v2(char *h, char *d, size_t n) { NEED_CONTEXT; int r = copy(h, d, n, 0, 2); finish(&idle); LEAVE(r ? r : fault); }
int cuMemsetD8Async(char *d, unsigned char v, size_t n, Stream *s) { NEED_CONTEXT; if (!holding(d, n)) LEAVE(INVALID_VALUE); Work *w = queue(s, FILL); w->to = d, w->size = n, w->value = v; LEAVE(DONE); }

int cuStreamCreate(Stream **s, unsigned flags) { (void)flags; NEED_CONTEXT; *s = calloc(1, sizeof **s); (*s)->next = streams; streams = *s; live_streams++; LEAVE(DONE); }
int cuStreamDestroy_v2(Stream *s)
{
    NEED_CONTEXT;
    for (Stream **at = &streams; *at; at = &(*at)->next)
        if (*at == s) {
            finish(s);
            *at = s->next;
            free(s);
            live_streams--;
            LEAVE(DONE);
        }
    LEAVE(INVALID_HANDLE);
}
int cuStreamSynchronize(Stream *s) { NEED_CONTEXT; if (s && s->capture) { s->capture->invalid = 1; LEAVE(CAPTURING); } finish(s ? s : &idle); LEAVE(fault); }

static Graph *graph(void) { Graph *g = calloc(1, sizeof *g); g->last = &g->first; live_graphs++; return g; }
static int drop(Graph *g) { for (Work *w = g->first; w;) { Work *gone = w; w = w->next; free(gone); } free(g); live_graphs--; return DONE; }
static void append(Work *w, Stream *s) /* copies, for a graph may be launched again */
{
    for (; w; w = w->next) {
        Work *again = queue(s, w->kind), *next = again->next;
        *again = *w;
        again->next = next;
    }
}
int cuStreamBeginCapture_v2(Stream *s, int mode) { (void)mode; NEED_CONTEXT; if (!s || s->capture) LEAVE(INVALID_VALUE); s->capture = graph(); LEAVE(DONE); }
int cuStreamEndCapture(Stream *s, Graph **g)
{
    NEED_CONTEXT;
    if (!s->capture) LEAVE(INVALID_VALUE);
    *g = s->capture;
    s->capture = 0;
    if ((*g)->invalid) { drop(*g); *g = 0; LEAVE(CAPTURING + 1); }
    LEAVE(DONE);
}
int cuGraphInstantiateWithFlags(Graph **exec, Graph *g, unsigned long long flags)
{
    (void)flags;
    NEED_CONTEXT;
    if (setting("CUDA_DOUBLE_NO_GRAPHS", 0)) LEAVE(NOT_SUPPORTED);
    Stream copy = {0};
    copy.capture = *exec = graph();
    append(g->first, &copy);
    LEAVE(DONE);
}
int cuGraphInstantiate(Graph **exec, Graph *g, unsigned long long flags) { return cuGraphInstantiateWithFlags(exec, g, flags); }
int cuGraphLaunch(Graph *exec, Stream *s) { NEED_CONTEXT; append(exec->first, s); LEAVE(DONE); }
int cuGraphDestroy(Graph *g) { NEED_CONTEXT; LEAVE(drop(g)); }
int cuGraphExecDestroy(Graph *g) { NEED_CONTEXT; finish_all(); LEAVE(drop(g)); }
int cuStreamQuery(Stream *s) { NEED_CONTEXT; LEAVE((s ? s : &idle)->first ? NOT_READY : DONE); }
int cuStreamWaitEvent(Stream *s, Event *e, unsigned flags) { (void)flags; NEED_CONTEXT; if (e->queued && e->queued != s) queue(s, WAIT)->event = e; LEAVE(DONE); }

int cuEventCreate(Event **e, unsigned flags) { (void)flags; NEED_CONTEXT; *e = calloc(1, sizeof **e); live_events++; LEAVE(DONE); }
int cuEventDestroy_v2(Event *e) { NEED_CONTEXT; if (e->queued) finish(e->queued); free(e); live_events--; LEAVE(DONE); }
int cuEventRecord(Event *e, Stream *s) { NEED_CONTEXT; if (e->queued) finish(e->queued); e->recorded = 0; e->queued = s ? s : &idle; queue(s, RECORD)->event = e; LEAVE(DONE); }
int cuEventSynchronize(Event *e) { NEED_CONTEXT; if (e->queued) finish(e->queued); LEAVE(fault); }
int cuEventQuery(Event *e) { NEED_CONTEXT; LEAVE(e->queued ? NOT_READY : DONE); }
int cuEventElapsedTime_v2(float *ms, Event *a, Event *b)
{
    NEED_CONTEXT;
    if (a->queued || b->queued) LEAVE(NOT_READY);
    if (!a->recorded || !b->recorded) LEAVE(INVALID_HANDLE);
    *ms = (float)((b->at.tv_sec - a->at.tv_sec) * 1e3 + (b->at.tv_nsec - a->at.tv_nsec) * 1e-6);
    LEAVE(DONE);
}

int cuGetErrorString(int code, const char **text)
{
    *text = code == DONE ? "no error" : code == INVALID_VALUE ? "invalid argument" : code == OUT_OF_MEMORY ? "out of memory"
          : code == NOT_INITIALISED ? "initialization error" : code == NO_DEVICE ? "no CUDA-capable device is detected"
          : code == INVALID_CONTEXT ? "invalid device context" : code == ILLEGAL_ADDRESS ? "an illegal memory access was encountered"
          : code == NOT_SUPPORTED ? "operation not supported" : code == CAPTURING ? "operation not permitted when stream is capturing" : "error";
    return DONE;
}

/* for the tests: what is alive, and a place in a stream for what a kernel would do */
void double_live(long *counts)
{
    pthread_mutex_lock(&gate);
    counts[0] = counts[1] = 0;
    for (Block *b = blocks; b; b = b->next) counts[b->kind == DEVICE ? 0 : 1]++;
    counts[2] = live_streams, counts[3] = live_events, counts[4] = retained;
    pthread_mutex_unlock(&gate);
}
int double_queue(Stream *s, void (*call)(void *), void *arg) { ENTER; Work *w = queue(s, CALL); w->call = call, w->arg = arg; LEAVE(DONE); }
long double_graphs(void) { return live_graphs; }
int double_capturing(Stream *s) { ENTER; LEAVE(s->capture != 0); }
int double_holds(char *start, size_t size) { ENTER; Block *b = holding(start, size); LEAVE(b && b->kind == DEVICE); }

/* cuda.bindings asks for its functions by name here */
int cuGetProcAddress_v2(const char *name, void **found, int version, uint64_t flags, int *status)
{
    static const char *const endings[] = {"_v2", "", "_v3", "_v4"};
    static void *self;
    char full[160];
    Dl_info info;
    (void)version, (void)flags;
    if (!self && dladdr((void *)cuInit, &info)) self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    *found = 0;
    for (unsigned i = 0; i < sizeof endings / sizeof *endings && !*found; i++) {
        snprintf(full, sizeof full, "%s%s", name, endings[i]);
        *found = dlsym(self, full);
    }
    if (status) *status = *found ? 0 : 1;
    return *found ? DONE : NOT_FOUND;
}

/* what pycuda links with and nobody here calls */
#define REFUSED(name) int name(void) { return NOT_SUPPORTED; }
REFUSED(cuArray3DCreate_v2) REFUSED(cuArray3DGetDescriptor_v2) REFUSED(cuArrayCreate_v2) REFUSED(cuArrayDestroy)
REFUSED(cuArrayGetDescriptor_v2) REFUSED(cuCtxAttach) REFUSED(cuCtxCreate_v4) REFUSED(cuCtxDisablePeerAccess)
REFUSED(cuCtxEnablePeerAccess) REFUSED(cuCtxGetCacheConfig) REFUSED(cuCtxGetLimit) REFUSED(cuCtxGetSharedMemConfig)
REFUSED(cuCtxSetCacheConfig) REFUSED(cuCtxSetLimit) REFUSED(cuCtxSetSharedMemConfig) REFUSED(cuDeviceCanAccessPeer)
REFUSED(cuDeviceGetByPCIBusId) REFUSED(cuFuncGetAttribute) REFUSED(cuFuncSetAttribute) REFUSED(cuFuncSetBlockShape)
REFUSED(cuFuncSetCacheConfig) REFUSED(cuFuncSetSharedSize) REFUSED(cuIpcCloseMemHandle) REFUSED(cuIpcGetEventHandle)
REFUSED(cuIpcGetMemHandle) REFUSED(cuIpcOpenEventHandle) REFUSED(cuIpcOpenMemHandle_v2) REFUSED(cuLaunch) REFUSED(cuLaunchGrid)
REFUSED(cuLaunchGridAsync) REFUSED(cuLaunchKernel) REFUSED(cuLinkAddData_v2) REFUSED(cuLinkAddFile_v2) REFUSED(cuLinkComplete)
REFUSED(cuLinkCreate_v2) REFUSED(cuLinkDestroy) REFUSED(cuMemAllocManaged) REFUSED(cuMemAllocPitch_v2)
REFUSED(cuMemGetAddressRange_v2) REFUSED(cuMemHostGetFlags) REFUSED(cuMemHostRegister_v2) REFUSED(cuMemHostUnregister)
REFUSED(cuMemcpy2DAsync_v2) REFUSED(cuMemcpy2DUnaligned_v2) REFUSED(cuMemcpy2D_v2) REFUSED(cuMemcpy3DAsync_v2)
REFUSED(cuMemcpy3DPeer) REFUSED(cuMemcpy3DPeerAsync) REFUSED(cuMemcpy3D_v2) REFUSED(cuMemcpyAtoA_v2) REFUSED(cuMemcpyAtoD_v2)
REFUSED(cuMemcpyAtoH_v2) REFUSED(cuMemcpyDtoA_v2) REFUSED(cuMemcpyDtoD_v2) REFUSED(cuMemcpyHtoA_v2) REFUSED(cuMemcpyPeer)
REFUSED(cuMemcpyPeerAsync) REFUSED(cuMemsetD16Async) REFUSED(cuMemsetD16_v2) REFUSED(cuMemsetD2D16Async)
REFUSED(cuMemsetD2D16_v2) REFUSED(cuMemsetD2D32Async) REFUSED(cuMemsetD2D32_v2) REFUSED(cuMemsetD2D8Async)
REFUSED(cuMemsetD2D8_v2) REFUSED(cuMemsetD32Async) REFUSED(cuMemsetD32_v2) REFUSED(cuMemsetD8_v2) REFUSED(cuModuleGetFunction)
REFUSED(cuModuleGetGlobal_v2) REFUSED(cuModuleGetSurfRef) REFUSED(cuModuleGetTexRef) REFUSED(cuModuleLoad)
REFUSED(cuModuleLoadData) REFUSED(cuModuleLoadDataEx) REFUSED(cuModuleUnload) REFUSED(cuParamSetSize) REFUSED(cuParamSetTexRef)
REFUSED(cuParamSetf) REFUSED(cuParamSeti) REFUSED(cuParamSetv) REFUSED(cuProfilerInitialize) REFUSED(cuProfilerStart)
REFUSED(cuProfilerStop) REFUSED(cuStreamAttachMemAsync) REFUSED(cuSurfRefGetArray) REFUSED(cuSurfRefSetArray)
REFUSED(cuTexRefCreate) REFUSED(cuTexRefDestroy) REFUSED(cuTexRefGetAddressMode) REFUSED(cuTexRefGetAddress_v2)
REFUSED(cuTexRefGetArray) REFUSED(cuTexRefGetFilterMode) REFUSED(cuTexRefGetFlags) REFUSED(cuTexRefGetFormat)
REFUSED(cuTexRefSetAddress2D_v3) REFUSED(cuTexRefSetAddressMode) REFUSED(cuTexRefSetAddress_v2) REFUSED(cuTexRefSetArray)
REFUSED(cuTexRefSetFilterMode) REFUSED(cuTexRefSetFlags) REFUSED(cuTexRefSetFormat)
