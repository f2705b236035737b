// A pool of threads whose handoff costs little enough to split half a millisecond of work over two cores.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "core/function_ref.h"
#include "core/limits.h"

namespace anyon {

// Workers that wait for the next job spin for at most kSpin (the second half of it yielding), then sleep, so an idle
// pool costs the host application nothing. A worker that wakes too late for a job never delays it: the caller waits
// only for workers that joined.
//
// Any thread may call run(). While one call is in flight, another (from a second thread, or nested inside a task) runs
// its tasks inline on its own thread; results must therefore not depend on which worker runs a task.
// Tasks must not throw. Destroying the pool while a run is in flight is a bug of the caller.
class ThreadPool {
 public:
  static constexpr int kMaxThreads = limits::kThreads;
  static constexpr std::chrono::microseconds kSpin{50};

  // `threads` counts the caller: 1 starts no thread at all. Throws Error outside [1, kMaxThreads].
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Calls fn(task, worker) for every task in [0, tasks), worker in [0, size()), and returns when all are done.
  // At any moment a worker index is used by one thread of this call only, so it may index scratch memory.
  void run(int64_t tasks, FunctionRef<void(int64_t task, int worker)> fn);

 private:
  // gate_ = epoch << 32 | open | count of workers inside the job.
  static constexpr uint64_t kOpen = uint64_t{1} << 31;
  static constexpr uint64_t kCount = kOpen - 1;

  void work(int worker);
  // Waits for a gate whose epoch differs from `seen`; false when the pool is being destroyed.
  bool wait_for_job(uint32_t seen);
  void take_tasks(int worker);
  void wait_for_workers();

  alignas(64) std::atomic<uint64_t> gate_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<bool> busy_{false};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stop_{false};
  // Written by the caller while the gate is closed, read by workers that joined.
  const FunctionRef<void(int64_t, int)>* job_ = nullptr;
  int64_t tasks_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_workers_;
  std::condition_variable wake_caller_;
  std::vector<std::thread> threads_;
  std::chrono::nanoseconds spin_ = kSpin;
  int process_ = 0;
};

// Splits [0, n) into pieces of `grain` (the last may be shorter) and calls fn(begin, end, worker) for each.
template <class F>
void parallel_for(ThreadPool& pool, int64_t n, int64_t grain, F&& fn) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (n <= grain || pool.size() == 1) {
    fn(int64_t{0}, n, 0);
    return;
  }
  pool.run((n + grain - 1) / grain,
           [&](int64_t task, int worker) { fn(task * grain, std::min(n, (task + 1) * grain), worker); });
}

}  // namespace anyon
