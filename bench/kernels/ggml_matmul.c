// What llama.cpp computes for one token without repacking: one matrix times a vector, and the chosen experts of a layer.
#include <stdlib.h>

#include "ggml-cpu.h"
#include "ggml.h"

// A graph and the threads it runs on. They spin while they wait: they are paused while others are measured.
struct work {
    struct ggml_threadpool *pool;
    struct ggml_cgraph *graph;
    struct ggml_cplan plan;
};

static struct ggml_context *context_new(void) {
    struct ggml_init_params memory = {.mem_size = 1 << 20, .mem_buffer = NULL, .no_alloc = true};
    ggml_cpu_init();
    return ggml_init(memory);
}

static void work_start(struct work *work, struct ggml_context *context, struct ggml_tensor *result, int threads) {
    struct ggml_threadpool_params threadpool = ggml_threadpool_params_default(threads);
    work->graph = ggml_new_graph(context);
    ggml_build_forward_expand(work->graph, result);
    threadpool.paused = true;
    work->pool = ggml_threadpool_new(&threadpool);
    work->plan = ggml_graph_plan(work->graph, threads, work->pool);
    work->plan.work_data = malloc(work->plan.work_size + 64);
}

void work_pause(struct work *work) { ggml_threadpool_pause(work->pool); }
void work_resume(struct work *work) { ggml_threadpool_resume(work->pool); }

// Rows of numbers to blocks; gives the bytes written.
size_t quantize(int type, const float *weights, int64_t rows, int64_t cols, void *out) {
    return ggml_quantize_chunk(type, weights, out, 0, rows, cols, NULL);
}

struct matmul {
    struct work work;
    struct ggml_tensor *weights, *x, *y;
};

struct matmul *matmul_new(int type, int64_t rows, int64_t cols, int threads) {
    struct matmul *m = calloc(1, sizeof *m);
    struct ggml_context *context = context_new();
    if (!m || !context) return NULL;
    m->weights = ggml_new_tensor_2d(context, type, cols, rows);
    m->x = ggml_new_tensor_1d(context, GGML_TYPE_F32, cols);
    m->y = ggml_mul_mat(context, m->weights, m->x);
    work_start(&m->work, context, m->y, threads);
    return m;
}

int matmul_run(struct matmul *m, const void *weights, const float *x, float *y) {
    m->weights->data = (void *)weights;
    m->x->data = (void *)x;
    m->y->data = y;
    return ggml_graph_compute(m->work.graph, &m->work.plan);
}

struct experts {
    struct work work;
    struct ggml_tensor *gate, *up, *down, *x, *ids, *y;
};

static struct ggml_tensor *with_memory(struct ggml_tensor *tensor) {
    tensor->data = aligned_alloc(64, (ggml_nbytes(tensor) + 63) / 64 * 64);
    return tensor;
}

// A layer of `experts`, of which a token uses `used`: down(silu(gate x) * (up x)) of each, unweighted.
struct experts *experts_new(int type, int64_t hidden, int64_t width, int64_t experts, int64_t used, int threads) {
    struct experts *m = calloc(1, sizeof *m);
    struct ggml_context *context = context_new();
    if (!m || !context) return NULL;
    m->gate = ggml_new_tensor_3d(context, type, hidden, width, experts);
    m->up = ggml_new_tensor_3d(context, type, hidden, width, experts);
    m->down = ggml_new_tensor_3d(context, type, width, hidden, experts);
    m->x = ggml_new_tensor_3d(context, GGML_TYPE_F32, hidden, 1, 1);
    m->ids = ggml_new_tensor_2d(context, GGML_TYPE_I32, used, 1);
    struct ggml_tensor *up = with_memory(ggml_mul_mat_id(context, m->up, m->x, m->ids));
    struct ggml_tensor *gate = with_memory(ggml_mul_mat_id(context, m->gate, m->x, m->ids));
    struct ggml_tensor *h = with_memory(ggml_swiglu_split(context, gate, up));
    m->y = ggml_mul_mat_id(context, m->down, h, m->ids);
    work_start(&m->work, context, m->y, threads);
    return m;
}

// `weights`: gate, up and down of all experts, each a tensor of its own.
int experts_run(struct experts *m, const void *const weights[3], const int *ids, const float *x, float *y) {
    m->gate->data = (void *)weights[0];
    m->up->data = (void *)weights[1];
    m->down->data = (void *)weights[2];
    m->ids->data = (void *)ids;
    m->x->data = (void *)x;
    m->y->data = y;
    return ggml_graph_compute(m->work.graph, &m->work.plan);
}
