// Every code that CUDA's conversions give, as runs: nvcc -std=c++17 -O2 cuda_runs.cu && ./a.out > cuda-13.0.txt
//
// A line is: function and arguments, where it ran, source type, then FIRST_WORD:CODE of each run.
// `where` is host, device, or host,device if both gave the same.

#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

enum Source { F16, BF16, F32 };
static const char *SOURCE_NAMES[] = {"float16", "bfloat16", "float32"};
static const char *PREFIXES[] = {"halfraw", "bfloat16raw", "float"};

struct Conversion {
    const char *target;
    const char *arguments;
};
static const Conversion CONVERSIONS[] = {
    {"fp8", "__NV_NOSAT,__NV_E4M3"},          {"fp8", "__NV_SATFINITE,__NV_E4M3"},
    {"fp8", "__NV_NOSAT,__NV_E5M2"},          {"fp8", "__NV_SATFINITE,__NV_E5M2"},
    {"e8m0", "__NV_NOSAT,cudaRoundZero"},     {"e8m0", "__NV_SATFINITE,cudaRoundZero"},
    {"e8m0", "__NV_NOSAT,cudaRoundPosInf"},   {"e8m0", "__NV_SATFINITE,cudaRoundPosInf"},
    {"fp6", "__NV_E2M3,cudaRoundNearest"},    {"fp6", "__NV_E3M2,cudaRoundNearest"},
    {"fp4", "__NV_E2M1,cudaRoundNearest"},
};

template <Source source> struct Raw;
template <> struct Raw<F16> { using type = __half_raw; };
template <> struct Raw<BF16> { using type = __nv_bfloat16_raw; };
template <> struct Raw<F32> { using type = float; };

template <Source source> __host__ __device__ typename Raw<source>::type raw(uint32_t word) {
    typename Raw<source>::type x;
    if constexpr (source == F32) {
        memcpy(&x, &word, sizeof(x));
    } else {
        x.x = (unsigned short)word;
    }
    return x;
}

template <Source source> __host__ __device__ uint8_t convert(int conversion, uint32_t word) {
    const auto x = raw<source>(word);
    const auto sat = conversion % 2 ? __NV_SATFINITE : __NV_NOSAT;
    if (conversion < 4) {
        const auto kind = conversion < 2 ? __NV_E4M3 : __NV_E5M2;
        if constexpr (source == F16) return __nv_cvt_halfraw_to_fp8(x, sat, kind);
        if constexpr (source == BF16) return __nv_cvt_bfloat16raw_to_fp8(x, sat, kind);
        if constexpr (source == F32) return __nv_cvt_float_to_fp8(x, sat, kind);
    }
    if (conversion < 8) {
        const auto mode = conversion < 6 ? cudaRoundZero : cudaRoundPosInf;
        // There is none from half: its constructor converts to float first, as here.
        if constexpr (source == F16) return __nv_cvt_float_to_e8m0(__half2float(__half(x)), sat, mode);
        if constexpr (source == BF16) return __nv_cvt_bfloat16raw_to_e8m0(x, sat, mode);
        if constexpr (source == F32) return __nv_cvt_float_to_e8m0(x, sat, mode);
    }
    if (conversion < 10) {
        const auto kind = conversion == 8 ? __NV_E2M3 : __NV_E3M2;
        if constexpr (source == F16) return __nv_cvt_halfraw_to_fp6(x, kind, cudaRoundNearest);
        if constexpr (source == BF16) return __nv_cvt_bfloat16raw_to_fp6(x, kind, cudaRoundNearest);
        if constexpr (source == F32) return __nv_cvt_float_to_fp6(x, kind, cudaRoundNearest);
    }
    if constexpr (source == F16) return __nv_cvt_halfraw_to_fp4(x, __NV_E2M1, cudaRoundNearest);
    if constexpr (source == BF16) return __nv_cvt_bfloat16raw_to_fp4(x, __NV_E2M1, cudaRoundNearest);
    if constexpr (source == F32) return __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest);
}

template <Source source>
__global__ void convert_all(int conversion, uint32_t first, uint32_t count, uint8_t *out) {
    const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = convert<source>(conversion, first + i);
}

using Runs = std::vector<std::pair<uint32_t, uint8_t>>;

template <Source source> Runs runs_of(int conversion, bool device) {
    const uint64_t total = source == F32 ? 1ull << 32 : 1ull << 16;
    const uint32_t chunk = source == F32 ? 1u << 26 : 1u << 16;
    std::vector<uint8_t> codes(chunk);
    uint8_t *buffer = nullptr;
    if (device && cudaMalloc(&buffer, chunk) != cudaSuccess) exit(1);
    Runs runs;
    for (uint64_t first = 0; first < total; first += chunk) {
        if (device) {
            convert_all<source><<<chunk / 256, 256>>>(conversion, (uint32_t)first, chunk, buffer);
            if (cudaMemcpy(codes.data(), buffer, chunk, cudaMemcpyDeviceToHost) != cudaSuccess) exit(1);
        } else {
            const unsigned many = std::thread::hardware_concurrency();
            std::vector<std::thread> threads;
            for (unsigned t = 0; t < many; t++)
                threads.emplace_back([&, t] {
                    for (uint64_t i = (uint64_t)chunk * t / many; i < (uint64_t)chunk * (t + 1) / many; i++)
                        codes[i] = convert<source>(conversion, (uint32_t)(first + i));
                });
            for (auto &thread : threads) thread.join();
        }
        for (uint32_t i = 0; i < chunk; i++)
            if (runs.empty() || runs.back().second != codes[i]) runs.push_back({(uint32_t)(first + i), codes[i]});
    }
    cudaFree(buffer);
    return runs;
}

static void print(int conversion, const char *where, Source source, const Runs &runs) {
    const Conversion &c = CONVERSIONS[conversion];
    const bool by_float = source == F16 && std::string(c.target) == "e8m0";
    printf("__nv_cvt_%s_to_%s(%s) %s %s", by_float ? "float" : PREFIXES[source], c.target, c.arguments, where,
           SOURCE_NAMES[source]);
    for (const auto &run : runs) printf(" %x:%02x", run.first, run.second);
    printf("\n");
    fflush(stdout);
}

template <Source source> void record(bool has_device) {
    for (int conversion = 0; conversion < 11; conversion++) {
        const Runs host = runs_of<source>(conversion, false);
        if (!has_device) {
            print(conversion, "host", source, host);
            continue;
        }
        const Runs device = runs_of<source>(conversion, true);
        print(conversion, device == host ? "host,device" : "host", source, host);
        if (device != host) print(conversion, "device", source, device);
    }
}

int main() {
    int devices = 0;
    cudaDeviceProp properties;
    const bool has_device = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
    if (has_device) cudaGetDeviceProperties(&properties, 0);
    printf("# CUDA %d.%d, device %s\n", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10,
           has_device ? properties.name : "none");
    record<F16>(has_device);
    record<BF16>(has_device);
    record<F32>(has_device);
}
