// Embedding from plain rows and from packed panels gives the same rows, and refuses ids outside the table.
#include "kernels/embedding/embedding.h"

#include "core/status.h"
#include "kernels/linear/linear.h"
#include "kernels/testing.h"

namespace anyon {
namespace {

TEST(Embedding, BothLayoutsGiveTheRowsAskedFor) {
  ANYON_TRACE_SEED();
  testing::Random random(testing::test_seed());
  const int64_t rows = 37, width = 21;
  const std::vector<float> table = random.floats(rows * width);
  std::vector<float> packed(static_cast<size_t>(panel16_elements(rows, width)));
  pack_panel16(table.data(), width, rows, width, packed.data());
  const std::vector<int64_t> ids = {36, 0, 16, 15, 16};
  std::vector<float> expected;
  for (const int64_t id : ids) expected.insert(expected.end(), &table[id * width], &table[id * width] + width);
  std::vector<float> plain(expected.size()), from_panels(expected.size());
  embedding(ids.data(), 5, table.data(), EmbeddingLayout::kRows, rows, width, plain.data());
  embedding(ids.data(), 5, packed.data(), EmbeddingLayout::kPanel16, rows, width, from_panels.data());
  EXPECT_EQ(plain, expected);
  EXPECT_EQ(from_panels, expected);
}

TEST(Embedding, IdsOutsideTheTableAreRefused) {
  const std::vector<float> table(6, 1.0f);
  std::vector<float> y(2);
  for (const int64_t id : {int64_t{-1}, int64_t{3}}) {
    EXPECT_THROW(embedding(&id, 1, table.data(), EmbeddingLayout::kRows, 3, 2, y.data()), Error);
  }
}

}  // namespace
}  // namespace anyon
