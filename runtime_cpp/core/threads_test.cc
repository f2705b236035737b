// The thread pool runs every task exactly once, whoever calls it and from wherever.
#include "core/threads.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "core/status.h"

namespace anyon {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceForAnyNumberOfThreadsAndTasks) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const int64_t tasks : {0, 1, 2, 3, 7, 1000}) {
      std::vector<int> runs(static_cast<size_t>(tasks), 0);
      std::atomic<bool> worker_in_range{true};
      pool.run(tasks, [&](int64_t task, int worker) {
        ++runs[static_cast<size_t>(task)];
        if (worker < 0 || worker >= threads) worker_in_range = false;
      });
      EXPECT_EQ(runs, std::vector<int>(static_cast<size_t>(tasks), 1)) << threads << " threads, " << tasks << " tasks";
      EXPECT_TRUE(worker_in_range);
    }
  }
}

TEST(ThreadPool, SeesWhatTheCallerWroteAndTheCallerSeesWhatTasksWrote) {
  ThreadPool pool(4);
  std::vector<int64_t> values(64);
  for (int64_t round = 0; round < 2000; ++round) {
    std::fill(values.begin(), values.end(), round);
    pool.run(64, [&](int64_t task, int) { values[static_cast<size_t>(task)] += task; });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 64 * round + 63 * 32);
  }
}

TEST(ThreadPool, RunsANestedCallInline) {
  ThreadPool pool(3);
  std::atomic<int> total{0};
  pool.run(10, [&](int64_t, int) { pool.run(10, [&](int64_t, int) { ++total; }); });
  EXPECT_EQ(total, 100);
}

TEST(ThreadPool, ServesSeveralCallersAtOnce) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::array<int64_t, 4> sums{};
  for (size_t caller = 0; caller < sums.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 500; ++round) {
        std::array<int64_t, 16> part{};
        pool.run(16, [&](int64_t task, int) { part[static_cast<size_t>(task)] = task; });
        sums[caller] += std::accumulate(part.begin(), part.end(), int64_t{0});
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const int64_t sum : sums) EXPECT_EQ(sum, 500 * 120);
}

TEST(ThreadPool, WakesSleepingWorkersAndStopsWhereverTheyAre) {
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(4);
    if (round % 2 == 0) std::this_thread::sleep_for(4 * ThreadPool::kSpin);
    std::atomic<int> total{0};
    pool.run(100, [&](int64_t, int) { ++total; });
    EXPECT_EQ(total, 100);
    if (round % 3 == 0) std::this_thread::sleep_for(ThreadPool::kSpin);
  }
}

TEST(ThreadPool, RefusesAnImpossibleNumberOfThreads) {
  EXPECT_THROW(ThreadPool(0), Error);
  EXPECT_THROW(ThreadPool(-2), Error);
  EXPECT_THROW(ThreadPool(ThreadPool::kMaxThreads + 1), Error);
}

TEST(ParallelFor, CoversTheRangeInPiecesOfTheGrain) {
  ThreadPool pool(3);
  std::vector<int> runs(1001, 0);
  parallel_for(pool, 1001, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) ++runs[static_cast<size_t>(i)];
  });
  EXPECT_EQ(runs, std::vector<int>(1001, 1));
  parallel_for(pool, 0, 64, [&](int64_t, int64_t, int) { FAIL() << "an empty range has no piece"; });
}

}  // namespace
}  // namespace anyon
