// Law: clients that work at the same time see each other's memory as if one operation had come
// after the other, nobody waits for ever, and no CHECK fails, under every kind of schedule and
// however few frames there are. What a lock is for shows here and nowhere else, so this is a lane
// of the judge of mutants, too.

#include <cstdint>
#include <string>
#include <tuple>

#include "base/addr.h"
#include "fake_l4/rewind_area.h"
#include "gtest/gtest.h"
#include "proptests/engine/explore.h"

namespace {

using proptests::ExploreOptions;
using proptests::ExploreResult;
using proptests::ScheduleKind;

enum class Memory : uint8_t { kPlenty, kScarce };

using machine::Adversity;
using Parameters = std::tuple<ScheduleKind, Memory, Adversity>;

class ExplorePropTest : public ::testing::TestWithParam<Parameters> {};

ExploreOptions OptionsOf(const Parameters& parameters) {
  const auto [kind, memory, adversity] = parameters;
  ExploreOptions options;
  options.kind = kind;
  // Many programs under few schedules each find more than few programs under many.
  options.per_program = 16;
  options.schedules = memory == Memory::kPlenty ? 1600 : 480;
  // Where a machine has to be booted for each schedule there are fewer.
  if (!fake_l4::RewindArea::IsAvailable()) options.schedules /= 20;
  if (adversity != Adversity::kNone) options.schedules /= 4;
  options.draw.seed = 7;
  options.run.machine.adversity = adversity;
  options.run.machine.ram_bytes = uint64_t{4} << 20;
  if (memory == Memory::kPlenty) return options;
  options.run.machine.ram_bytes = proptests::kPressureFrames << base::kPageShift;
  options.run.machine.swap = {{.pages = 256}, {.pages = 256}};
  options.run.memory_may_run_out = true;  // while swapping goes off
  options.draw.hog_pages = static_cast<uint32_t>(proptests::kPressureFrames);
  options.draw.swap_devices = 2;
  return options;
}

TEST_P(ExplorePropTest, ClientsSeeEachOthersMemoryInSomeOrderAndNobodyIsStuck) {
  const ExploreResult result = Explore(OptionsOf(GetParam()));
  ASSERT_FALSE(result.failed) << result.failed->failure->text << "\n"
                              << HistoryText(result.failed->history);
  // What nobody can judge shows nothing. Of few schedules one may be such.
  EXPECT_LE(result.unjudged, (result.schedules + 9) / 10);
}

std::string NameOf(const ::testing::TestParamInfo<Parameters>& info) {
  constexpr const char* kKinds[] = {"Random", "Pct", "Uniform", "DepthFirst"};
  const std::string kind = kKinds[static_cast<int>(std::get<0>(info.param))];
  return kind + (std::get<1>(info.param) == Memory::kPlenty ? "" : "WhileMemoryIsScarce") +
         (std::get<2>(info.param) == Adversity::kForgetful  ? "OnAForgetfulPmap"
          : std::get<2>(info.param) == Adversity::kRefusing ? "OnARefusingPmap"
                                                            : "");
}

INSTANTIATE_TEST_SUITE_P(All, ExplorePropTest,
                         ::testing::Combine(::testing::Values(ScheduleKind::kRandom,
                                                              ScheduleKind::kPct,
                                                              ScheduleKind::kUniform),
                                            ::testing::Values(Memory::kPlenty, Memory::kScarce),
                                            ::testing::Values(Adversity::kNone)),
                         NameOf);

INSTANTIATE_TEST_SUITE_P(
    AdversePmap, ExplorePropTest,
    ::testing::Combine(::testing::Values(ScheduleKind::kRandom, ScheduleKind::kPct),
                       ::testing::Values(Memory::kPlenty, Memory::kScarce),
                       ::testing::Values(Adversity::kForgetful, Adversity::kRefusing)),
    NameOf);

}  // namespace
