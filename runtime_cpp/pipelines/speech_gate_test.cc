// What the gate believes of a text, given the model's own doubts.
#include "pipelines/speech_gate.h"

#include <gtest/gtest.h>

namespace anyon {
namespace {

TEST(SpeechGate, DoubtsUnlikelyAndRepeatedTextWhereTheModelHearsNoSpeech) {
  EXPECT_TRUE(model_doubts_speech(0.9, -0.7, 1.0));
  EXPECT_TRUE(model_doubts_speech(0.99, -0.4, 17.0)) << "one sentence over and over, in a silent end";
  EXPECT_FALSE(model_doubts_speech(0.9, -0.4, 1.5)) << "likely text counts for more";
  EXPECT_FALSE(model_doubts_speech(0.3, -0.9, 17.0)) << "the model hears speech";
}

}  // namespace
}  // namespace anyon
