// One matrix of weights times one vector by ggml's CPU code, as llama.cpp computes it without repacking.
#include <stdlib.h>

#include "ggml-cpu.h"
#include "ggml.h"

struct matmul {
    struct ggml_threadpool *pool;
    struct ggml_tensor *weights, *x, *y;
    struct ggml_cgraph *graph;
    struct ggml_cplan plan;
};

// Rows of numbers to blocks; gives the bytes written.
size_t matmul_quantize(int type, const float *weights, int64_t rows, int64_t cols, void *out) {
    return ggml_quantize_chunk(type, weights, out, 0, rows, cols, NULL);
}

struct matmul *matmul_new(int type, int64_t rows, int64_t cols, int threads) {
    struct matmul *m = calloc(1, sizeof *m);
    struct ggml_init_params memory = {.mem_size = 1 << 20, .mem_buffer = NULL, .no_alloc = true};
    struct ggml_context *context = ggml_init(memory);
    struct ggml_threadpool_params threadpool = ggml_threadpool_params_default(threads);
    if (!m || !context) return NULL;
    ggml_cpu_init();
    m->weights = ggml_new_tensor_2d(context, type, cols, rows);
    m->x = ggml_new_tensor_1d(context, GGML_TYPE_F32, cols);
    m->y = ggml_mul_mat(context, m->weights, m->x);
    m->graph = ggml_new_graph(context);
    ggml_build_forward_expand(m->graph, m->y);
    threadpool.paused = true;
    m->pool = ggml_threadpool_new(&threadpool);
    m->plan = ggml_graph_plan(m->graph, threads, m->pool);
    m->plan.work_data = malloc(m->plan.work_size + 64);
    return m;
}

// Its threads spin while they wait: they are paused while others are measured.
void matmul_pause(struct matmul *m) { ggml_threadpool_pause(m->pool); }
void matmul_resume(struct matmul *m) { ggml_threadpool_resume(m->pool); }

int matmul_run(struct matmul *m, const void *weights, const float *x, float *y) {
    m->weights->data = (void *)weights;
    m->x->data = (void *)x;
    m->y->data = y;
    return ggml_graph_compute(m->graph, &m->plan);
}
