// The thread pool: an epoch gate that workers join by compare-and-swap, and condition variables behind it.
#include "core/threads.h"

#include <string>
#include <system_error>

#include "core/status.h"

#ifdef _WIN32
#include <process.h>
#else
#include <unistd.h>
#endif

namespace anyon {
namespace {

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int process_id() {
#ifdef _WIN32
  return _getpid();
#else
  return static_cast<int>(getpid());
#endif
}

// Waits until ready() for at most `limit`: pauses first, then yields, because on a busy machine the thread we wait
// for may need this very core.
template <class Ready>
bool spin_until(Ready ready, std::chrono::nanoseconds limit) {
  constexpr int kPausesPerLook = 32;
  std::chrono::steady_clock::time_point start{};
  for (bool first = true;; first = false) {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (ready()) return true;
      pause();
    }
    const auto now = std::chrono::steady_clock::now();
    if (first) start = now;
    if (now - start >= limit) return false;
    if (now - start > limit / 2) std::this_thread::yield();
  }
}

}  // namespace

ThreadPool::ThreadPool(int threads) : process_(process_id()) {
  if (threads < 1 || threads > kMaxThreads) {
    throw_error(Status::kInvalidArgument,
                {"threads: ", threads, " is outside 1..", kMaxThreads, "; use the number of cores"});
  }
  // With more threads than cores a spinner only takes time from a thread that has work.
  const unsigned cores = std::thread::hardware_concurrency();
  if (cores != 0 && static_cast<unsigned>(threads) > cores) spin_ = std::chrono::nanoseconds(0);
  threads_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int worker = 1; worker < threads; ++worker) threads_.emplace_back([this, worker] { work(worker); });
  } catch (const std::system_error& error) {
    const int started = size();
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_workers_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    throw_error(Status::kOutOfMemory, {"threads: the system refused thread ", started + 1, " of ", threads, " (",
                                       error.what(), "); ask for fewer"});
  }
}

ThreadPool::~ThreadPool() {
  if (process_ != process_id()) {
    // A forked child has the handles but not the threads: joining would wait for ever.
    for (std::thread& thread : threads_) thread.detach();
    return;
  }
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_workers_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(int64_t tasks, FunctionRef<void(int64_t task, int worker)> fn) {
  if (tasks <= 0) return;
  if (tasks == 1 || threads_.empty() || busy_.exchange(true, std::memory_order_acquire)) {
    for (int64_t task = 0; task < tasks; ++task) fn(task, 0);
    return;
  }
  job_ = &fn;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  const uint64_t epoch = (gate_.load(std::memory_order_relaxed) >> 32) + 1;
  // Sequentially consistent with sleepers_: either this thread sees the sleeper or the sleeper sees the open gate.
  gate_.store(epoch << 32 | kOpen, std::memory_order_seq_cst);
  if (const int sleepers = sleepers_.load(std::memory_order_seq_cst); sleepers > 0) {
    { std::lock_guard lock(mutex_); }
    if (tasks > sleepers) {
      wake_workers_.notify_all();
    } else {
      for (int64_t i = 1; i < tasks; ++i) wake_workers_.notify_one();
    }
  }
  take_tasks(0);
  gate_.fetch_and(~kOpen, std::memory_order_acq_rel);
  wait_for_workers();
  busy_.store(false, std::memory_order_release);
}

void ThreadPool::take_tasks(int worker) {
  const FunctionRef<void(int64_t, int)>& fn = *job_;
  const int64_t tasks = tasks_;
  for (int64_t task = next_.fetch_add(1, std::memory_order_relaxed); task < tasks;
       task = next_.fetch_add(1, std::memory_order_relaxed)) {
    fn(task, worker);
  }
}

void ThreadPool::wait_for_workers() {
  const auto all_out = [this] { return (gate_.load(std::memory_order_acquire) & kCount) == 0; };
  if (spin_until(all_out, spin_)) return;
  std::unique_lock lock(mutex_);
  caller_sleeps_.store(true, std::memory_order_seq_cst);
  wake_caller_.wait(lock, [this] { return (gate_.load(std::memory_order_seq_cst) & kCount) == 0; });
  caller_sleeps_.store(false, std::memory_order_relaxed);
}

bool ThreadPool::wait_for_job(uint32_t seen) {
  const auto changed = [this, seen] {
    return static_cast<uint32_t>(gate_.load(std::memory_order_acquire) >> 32) != seen ||
           stop_.load(std::memory_order_relaxed);
  };
  if (!spin_until(changed, spin_)) {
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    wake_workers_.wait(lock, [this, seen] {
      return static_cast<uint32_t>(gate_.load(std::memory_order_seq_cst) >> 32) != seen ||
             stop_.load(std::memory_order_relaxed);
    });
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }
  return !stop_.load(std::memory_order_relaxed);
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  while (wait_for_job(seen)) {
    uint64_t gate = gate_.load(std::memory_order_acquire);
    seen = static_cast<uint32_t>(gate >> 32);
    bool joined = false;
    while ((gate & kOpen) != 0 && static_cast<uint32_t>(gate >> 32) == seen && !joined) {
      joined = gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel, std::memory_order_acquire);
    }
    if (!joined) continue;
    take_tasks(worker);
    const uint64_t before = gate_.fetch_sub(1, std::memory_order_seq_cst);
    if ((before & kCount) == 1 && caller_sleeps_.load(std::memory_order_seq_cst)) {
      { std::lock_guard lock(mutex_); }
      wake_caller_.notify_one();
    }
  }
}

}  // namespace anyon
