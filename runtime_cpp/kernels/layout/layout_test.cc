// Moves checked element by element against index arithmetic.
#include "kernels/layout/layout.h"

#include <numeric>

#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::Random;

template <class T>
std::vector<T> counted(int64_t n) {
  std::vector<T> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), T{0});
  return values;
}

// x[...] at y's index, axis by axis.
template <class T>
std::vector<T> transposed(const std::vector<T>& x, const Shape& shape, const std::vector<int64_t>& perm) {
  const int rank = shape.rank();
  std::vector<int64_t> strides(static_cast<size_t>(rank), 1);
  for (int axis = rank - 2; axis >= 0; --axis) strides[axis] = strides[axis + 1] * shape[axis + 1];
  std::vector<T> y(x.size());
  for (size_t i = 0; i < y.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), offset = 0;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const int64_t dim = shape[static_cast<int>(perm[axis])];
      offset += rest % dim * strides[perm[axis]];
      rest /= dim;
    }
    y[i] = x[static_cast<size_t>(offset)];
  }
  return y;
}

template <class T>
void check_transposes() {
  ANYON_TRACE_SEED();
  Random random(testing::test_seed());
  ThreadPool one(1), three(3);
  for (int i = 0; i < 100; ++i) {
    const int rank = static_cast<int>(random.between(1, 5));
    std::vector<int64_t> dims, perm(static_cast<size_t>(rank));
    for (int axis = 0; axis < rank; ++axis) dims.push_back(random.between(1, rank < 3 ? 200 : 9));
    std::iota(perm.begin(), perm.end(), 0);
    for (int axis = rank - 1; axis > 0; --axis) std::swap(perm[axis], perm[random.between(0, axis)]);
    const Shape shape{std::span<const int64_t>(dims)};
    const std::vector<T> x = counted<T>(shape.elements());
    std::vector<T> y(x.size());
    transpose(x.data(), shape, perm, sizeof(T), y.data(), random.coin() ? one : three);
    ASSERT_EQ(y, transposed(x, shape, perm));
  }
}

TEST(Layout, TransposesEveryPermutationOfEveryElementSize) {
  check_transposes<uint8_t>();
  check_transposes<uint16_t>();
  check_transposes<uint32_t>();
  check_transposes<uint64_t>();
}

TEST(Layout, TransposesLargePlanesOnThreads) {
  ThreadPool three(3);
  const Shape shape{2, 500, 700};
  const std::vector<uint32_t> x = counted<uint32_t>(shape.elements());
  std::vector<uint32_t> y(x.size());
  const std::vector<int64_t> perm = {0, 2, 1};
  transpose(x.data(), shape, perm, 4, y.data(), three);
  EXPECT_EQ(y, transposed(x, shape, perm));
}

TEST(Layout, TransposeRefusesWhatIsNotAPermutation) {
  ThreadPool pool(1);
  uint32_t x[6] = {}, y[6];
  for (const std::vector<int64_t>& perm : {std::vector<int64_t>{0, 0}, {0}, {0, 2}, {-1, 0}}) {
    EXPECT_THROW(transpose(x, Shape{2, 3}, perm, 4, y, pool), Error);
  }
}

TEST(Layout, SplitHeadsMovesHeadsBeforeTime) {
  // (batch 1, time 2, heads 2 * head_dim 2), rows 5 apart
  const std::vector<float> x = {0, 1, 2, 3, -1, 4, 5, 6, 7, -1};
  std::vector<float> y(8);
  split_heads(x.data(), 5, 1, 2, 2, 2, y.data());
  EXPECT_EQ(y, (std::vector<float>{0, 1, 4, 5, 2, 3, 6, 7}));
}

TEST(Layout, GatherAndSliceTakePartsOfAnAxis) {
  const Shape shape{2, 4, 3};
  const std::vector<uint16_t> x = counted<uint16_t>(24);
  std::vector<uint16_t> y(12);
  const std::vector<int64_t> index = {3, 0};
  gather(x.data(), shape, 1, index, 2, y.data());
  EXPECT_EQ(y, (std::vector<uint16_t>{9, 10, 11, 0, 1, 2, 21, 22, 23, 12, 13, 14}));
  slice(x.data(), shape, 1, 1, 3, 2, y.data());
  EXPECT_EQ(y, (std::vector<uint16_t>{3, 4, 5, 6, 7, 8, 15, 16, 17, 18, 19, 20}));
  EXPECT_THROW(gather(x.data(), shape, 1, std::vector<int64_t>{4}, 2, y.data()), Error);
  EXPECT_THROW(gather(x.data(), shape, 3, index, 2, y.data()), Error);
  EXPECT_THROW(slice(x.data(), shape, 2, 2, 4, 2, y.data()), Error);
}

}  // namespace
}  // namespace anyon
