// One tensor-core instruction after another: D = C + A B^T, chained over the steps of 32.
//
//   A: codes (tiles, rows, 32 * steps)   B: codes (tiles, N, 32 * steps)
//   C, D: (tiles, rows, N), float32, or float16 by pairs
//
// One tile for each thread block.  A_TYPE and B_TYPE are e4m3 or e5m2, given with -D.

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define PAIR TEXT(A_TYPE) "." TEXT(B_TYPE)

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define ROWS 64  // of wgmma's A; N is that of its B
#define N 32
#define LENGTH 32  // bytes of one row and one step

// A matrix descriptor without swizzle.  Core matrices of 8 rows by 16 bytes lie in a row:
// `leading` bytes from one to its neighbour along k, `stride` bytes to the next 8 rows.
__device__ u64 descriptor(const void *tile, u32 leading, u32 stride) {
  u64 address = __cvta_generic_to_shared(tile);
  return ((address & 0x3FFFF) >> 4) | (u64)(leading >> 4) << 16 | (u64)(stride >> 4) << 32;
}

// Copy a step's bytes as [half of the 32][row][16].
__device__ void load(u8 *tile, const u8 *codes, int rows, long long length, int step) {
  for (int i = threadIdx.x; i < 2 * rows; i += blockDim.x) {
    int half = i / rows, row = i % rows;
    const u8 *from = codes + row * length + LENGTH * step + 16 * half;
    reinterpret_cast<uint4 *>(tile)[i] = *reinterpret_cast<const uint4 *>(from);
  }
}

#define BEFORE_WGMMA                                                  \
  load(a_tile, a, ROWS, length, step);                                \
  load(b_tile, b, N, length, step);                                   \
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");        \
  __syncthreads();                                                    \
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");

#define AFTER_WGMMA                                                   \
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");      \
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");      \
  __syncthreads();

extern "C" __global__ void __launch_bounds__(128)
wgmma_f32(const u8 *a, const u8 *b, const float *c, float *d, int steps) {
  __shared__ __align__(128) u8 a_tile[ROWS * LENGTH];
  __shared__ __align__(128) u8 b_tile[N * LENGTH];
  long long tile = blockIdx.x, length = (long long)LENGTH * steps;
  a += tile * ROWS * length;
  b += tile * N * length;
  c += tile * ROWS * N;
  d += tile * ROWS * N;
  // Warp w has rows 16 w to 16 w + 15; lane l rows l / 4 and l / 4 + 8, columns 2 (l % 4), + 1.
  int lane = threadIdx.x % 32;
  int place = (16 * (threadIdx.x / 32) + lane / 4) * N + 2 * (lane % 4);
  float r[N / 2];
#pragma unroll
  for (int j = 0; j < N / 2; ++j)
    r[j] = c[place + 8 * (j / 4) + j % 2 + (j % 4 / 2) * 8 * N];
  u64 a_desc = descriptor(a_tile, ROWS * 16, 128), b_desc = descriptor(b_tile, N * 16, 128);
  for (int step = 0; step < steps; ++step) {
    BEFORE_WGMMA
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %18, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n32k32.f32." PAIR " "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
        "%16, %17, p, 1, 1;\n}\n"
        : "+f"(r[0]), "+f"(r[1]), "+f"(r[2]), "+f"(r[3]), "+f"(r[4]), "+f"(r[5]), "+f"(r[6]),
          "+f"(r[7]), "+f"(r[8]), "+f"(r[9]), "+f"(r[10]), "+f"(r[11]), "+f"(r[12]),
          "+f"(r[13]), "+f"(r[14]), "+f"(r[15])
        : "l"(a_desc), "l"(b_desc), "r"(1));
    AFTER_WGMMA
  }
#pragma unroll
  for (int j = 0; j < N / 2; ++j)
    d[place + 8 * (j / 4) + j % 2 + (j % 4 / 2) * 8 * N] = r[j];
}

extern "C" __global__ void __launch_bounds__(128)
wgmma_f16(const u8 *a, const u8 *b, const u32 *c, u32 *d, int steps) {
  __shared__ __align__(128) u8 a_tile[ROWS * LENGTH];
  __shared__ __align__(128) u8 b_tile[N * LENGTH];
  long long tile = blockIdx.x, length = (long long)LENGTH * steps;
  a += tile * ROWS * length;
  b += tile * N * length;
  c += tile * ROWS * N / 2;
  d += tile * ROWS * N / 2;
  int lane = threadIdx.x % 32;  // as above, two columns in a word
  int place = (16 * (threadIdx.x / 32) + lane / 4) * (N / 2) + lane % 4;
  u32 r[N / 4];
#pragma unroll
  for (int j = 0; j < N / 4; ++j)
    r[j] = c[place + 4 * (j / 2) + j % 2 * 4 * N];
  u64 a_desc = descriptor(a_tile, ROWS * 16, 128), b_desc = descriptor(b_tile, N * 16, 128);
  for (int step = 0; step < steps; ++step) {
    BEFORE_WGMMA
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %10, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n32k32.f16." PAIR " "
        "{%0, %1, %2, %3, %4, %5, %6, %7}, %8, %9, p, 1, 1;\n}\n"
        : "+r"(r[0]), "+r"(r[1]), "+r"(r[2]), "+r"(r[3]), "+r"(r[4]), "+r"(r[5]), "+r"(r[6]),
          "+r"(r[7])
        : "l"(a_desc), "l"(b_desc), "r"(1));
    AFTER_WGMMA
  }
#pragma unroll
  for (int j = 0; j < N / 4; ++j)
    d[place + 4 * (j / 2) + j % 2 * 4 * N] = r[j];
}

// mma.sync.m16n8k32: a warp for each tile.  Lane l has rows l / 4 and l / 4 + 8 of A, column
// l / 4 of B, four codes from k = 4 (l % 4) and from 16 above it.
#define BEFORE_MMA                                                    \
  const u32 *low = reinterpret_cast<const u32 *>(a + LENGTH * step);  \
  const u32 *high = low + 2 * length;                                 \
  const u32 *right = reinterpret_cast<const u32 *>(b + LENGTH * step);\
  u32 a0 = low[t], a1 = high[t], a2 = low[t + 4], a3 = high[t + 4];   \
  u32 b0 = right[t], b1 = right[t + 4];

extern "C" __global__ void __launch_bounds__(32)
mma_f32(const u8 *a, const u8 *b, const float *c, float *d, int steps) {
  long long tile = blockIdx.x, length = (long long)LENGTH * steps;
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  a += (tile * 16 + g) * length;
  b += (tile * 8 + g) * length;
  c += tile * 128 + g * 8 + 2 * t;
  d += tile * 128 + g * 8 + 2 * t;
  float r0 = c[0], r1 = c[1], r2 = c[64], r3 = c[65];
  for (int step = 0; step < steps; ++step) {
    BEFORE_MMA
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.f32." PAIR ".f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(r0), "+f"(r1), "+f"(r2), "+f"(r3)
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
  d[0] = r0;
  d[1] = r1;
  d[64] = r2;
  d[65] = r3;
}

extern "C" __global__ void __launch_bounds__(32)
mma_f16(const u8 *a, const u8 *b, const u32 *c, u32 *d, int steps) {
  long long tile = blockIdx.x, length = (long long)LENGTH * steps;
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  a += (tile * 16 + g) * length;
  b += (tile * 8 + g) * length;
  c += tile * 64 + g * 4 + t;
  d += tile * 64 + g * 4 + t;
  u32 r0 = c[0], r1 = c[32];
  for (int step = 0; step < steps; ++step) {
    BEFORE_MMA
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.f16." PAIR ".f16 "
        "{%0, %1}, {%2, %3, %4, %5}, {%6, %7}, {%0, %1};\n"
        : "+r"(r0), "+r"(r1)
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
  d[0] = r0;
  d[32] = r1;
}
