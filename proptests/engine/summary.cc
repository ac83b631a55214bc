#include "proptests/engine/summary.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/addr.h"
#include "machine/machine.h"
#include "proptests/engine/op_pairs.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace proptests {
namespace {

using Json = nlohmann::ordered_json;

// The counters by name; each function below is one more use of this list.
template <typename Stats, typename Visitor>
void ForEachCounter(Stats& stats, const Visitor& visit) {
  visit("ops", stats.ops);
  visit("skipped", stats.skipped);
  visit("ok", stats.ok);
  visit("trace_outcomes", stats.trace_outcomes);
  visit("uvm_outcomes", stats.uvm_outcomes);
  visit("bytes", stats.bytes);
  visit("whole_checks", stats.whole_checks);
  visit("lost_calls", stats.lost_calls);
  visit("lost_tasks", stats.lost_tasks);
  visit("followed", stats.followed);
  visit("ended", stats.ended);
}

Json StatsJson(const RunStats& stats) {
  Json json;
  ForEachCounter(stats, [&](const char* name, uint64_t value) { json[name] = value; });
  Json kinds = Json::object();
  for (size_t i = 0; i < stats.by_kind.size(); ++i) {
    if (stats.by_kind[i] == 0) continue;
    kinds[std::string(traces::OpName(static_cast<traces::OpKind>(i)))] = stats.by_kind[i];
  }
  json["by_kind"] = kinds;
  // Few of them are not 0 in a case, so by number.
  Json probes = Json::object();
  for (size_t i = 0; i < stats.probes.size(); ++i) {
    if (stats.probes[i] != 0) probes[absl::StrCat(i)] = stats.probes[i];
  }
  json["probes"] = probes;
  Json cells = Json::object();
  for (size_t i = 0; i < stats.fault_cases.size(); ++i) {
    if (stats.fault_cases[i] != 0) cells[absl::StrCat(i)] = stats.fault_cases[i];
  }
  json["fault_cases"] = cells;
  if (stats.pairs.empty()) return json;
  Json pairs = Json::object();
  for (size_t i = 0; i < stats.pairs.size(); ++i) {
    if (stats.pairs[i] != 0) pairs[absl::StrCat(i)] = stats.pairs[i];
  }
  json["pairs"] = pairs;
  return json;
}

RunStats StatsOf(const Json& json) {
  RunStats stats;
  ForEachCounter(stats, [&](const char* name, uint64_t& value) { value = json.at(name); });
  const Json& kinds = json.at("by_kind");
  for (size_t i = 0; i < stats.by_kind.size(); ++i) {
    const auto it = kinds.find(std::string(traces::OpName(static_cast<traces::OpKind>(i))));
    if (it != kinds.end()) stats.by_kind[i] = *it;
  }
  const Json& probes = json.at("probes");
  for (size_t i = 0; i < stats.probes.size(); ++i) {
    stats.probes[i] = probes.value(absl::StrCat(i), uint64_t{0});
  }
  const Json& cells = json.at("fault_cases");
  for (size_t i = 0; i < stats.fault_cases.size(); ++i) {
    stats.fault_cases[i] = cells.value(absl::StrCat(i), uint64_t{0});
  }
  if (!json.contains("pairs")) return stats;
  stats.pairs.resize(kOpPairCount);
  for (const auto& [number, count] : json.at("pairs").items()) {
    stats.pairs.at(std::stoul(number)) = count;
  }
  return stats;
}

Json LedgerJson(const LedgerRows& rows) {
  Json json = Json::object();
  for (const LedgerRow& row : rows) json[row.name] = row.value;
  return json;
}

// Rows point to names that live for ever: those of machine::Ledger itself.
LedgerRows LedgerOf(const Json& json) {
  LedgerRows rows;
  if (json.empty()) return rows;
  machine::Ledger{}.ForEach([&](const char* name, uint64_t) {
    rows.push_back({name, json.at(name)});
  });
  return rows;
}

Json ShapeJson(const Shape& shape) {
  return {{"samples", shape.samples},
          {"tasks", shape.tasks},
          {"mapped_pages", shape.mapped_pages},
          {"live_pages", shape.live_pages}};
}

Shape ShapeOf(const Json& json) {
  return {json.at("samples"), json.at("tasks"), json.at("mapped_pages"), json.at("live_pages")};
}

Json FailureJson(const Failure& failure) {
  return {{"class", static_cast<int>(failure.print.cls)},
          {"rule", failure.print.rule},
          {"text", failure.text},
          {"op", failure.op_index}};
}

Failure FailureOf(const Json& json) {
  Failure failure;
  failure.print.cls = static_cast<FailureClass>(json.at("class").get<int>());
  failure.print.rule = json.at("rule");
  failure.text = json.at("text");
  failure.op_index = json.at("op");
  return failure;
}

// Accesses, births and deaths; all operands are absolute.
Json ConvergingJson(const std::vector<traces::Op>& ops) {
  Json json = Json::array();
  for (const traces::Op& op : ops) {
    json.push_back(Json::array({static_cast<int>(op.kind), op.task.number, op.child, op.at.offset,
                                op.size, op.value, op.flags}));
  }
  return json;
}

std::vector<traces::Op> ConvergingOf(const Json& json) {
  std::vector<traces::Op> ops;
  for (const Json& row : json) {
    traces::Op op;
    op.kind = static_cast<traces::OpKind>(row.at(0).get<int>());
    op.task.number = row.at(1);
    op.child = row.at(2);
    op.at = traces::At(row.at(3));
    op.size = row.at(4);
    op.value = row.at(5);
    op.flags = row.at(6);
    ops.push_back(op);
  }
  return ops;
}

// Texts of failures may quote any bytes.
std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void Shape::Add(const Shape& other) {
  samples += other.samples;
  tasks += other.tasks;
  mapped_pages += other.mapped_pages;
  live_pages += other.live_pages;
}

void Sample(const Session& session, Shape* shape) {
  const model::World& world = session.world();
  ++shape->samples;
  for (const uint32_t task : world.LiveTasks()) {
    ++shape->tasks;
    world.ForEachRange(task, [&](base::Range range, const model::Attributes&) {
      const uint64_t pages = range.size() / base::kPageSize;
      shape->mapped_pages += std::min(pages, Shape::kMostCounted);
    });
    world.ForEachTouchedPage(task, [&](uint64_t, model::PageKind) { ++shape->live_pages; });
  }
}

void Summary::Add(const CaseRecord& record) {
  stats.Add(record.result.stats);
  AddLedger(record.result.ledger, &ledger);
  hash += HashOfCase(record.number, record.result.hash);
  ++cases;
  rechecked += record.rechecked ? 1 : 0;
  failed += record.result.failure ? 1 : 0;
  drawn += record.drawn;
  shape.Add(record.shape);
}

void Summary::Add(const Summary& other) {
  stats.Add(other.stats);
  AddLedger(other.ledger, &ledger);
  hash += other.hash;
  cases += other.cases;
  rechecked += other.rechecked;
  failed += other.failed;
  drawn += other.drawn;
  shape.Add(other.shape);
}

std::string EncodeRecord(const CaseRecord& record) {
  Json json{{"case", record.number},
            {"drawn", record.drawn},
            {"hash", record.result.hash},
            {"rechecked", record.rechecked},
            {"seconds", record.seconds},
            {"shape", ShapeJson(record.shape)},
            {"stats", StatsJson(record.result.stats)},
            {"ledger", LedgerJson(record.result.ledger)}};
  if (record.result.failure) json["failure"] = FailureJson(*record.result.failure);
  if (!record.result.converging.empty()) {
    json["converging"] = ConvergingJson(record.result.converging);
  }
  return Line(json);
}

absl::StatusOr<CaseRecord> DecodeRecord(absl::string_view line) {
  try {
    const Json json = Json::parse(line.begin(), line.end());
    CaseRecord record;
    record.number = json.at("case");
    record.drawn = json.at("drawn");
    record.rechecked = json.at("rechecked");
    record.seconds = json.at("seconds");
    record.shape = ShapeOf(json.at("shape"));
    record.result.hash = json.at("hash");
    record.result.cases = 1;
    record.result.stats = StatsOf(json.at("stats"));
    record.result.ledger = LedgerOf(json.at("ledger"));
    if (json.contains("failure")) record.result.failure = FailureOf(json.at("failure"));
    if (json.contains("converging")) record.result.converging = ConvergingOf(json.at("converging"));
    return record;
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("expected a case's record: ", error.what()));
  }
}

Json SummaryJson(const Summary& summary) {
  return {{"cases", summary.cases},
          {"drawn", summary.drawn},
          {"hash", summary.hash},
          {"rechecked", summary.rechecked},
          {"failed", summary.failed},
          {"shape", ShapeJson(summary.shape)},
          {"stats", StatsJson(summary.stats)},
          {"ledger", LedgerJson(summary.ledger)}};
}

absl::StatusOr<Summary> SummaryOfJson(const Json& json) {
  try {
    Summary summary;
    summary.cases = json.at("cases");
    summary.drawn = json.at("drawn");
    summary.hash = json.at("hash");
    summary.rechecked = json.at("rechecked");
    summary.failed = json.at("failed");
    summary.shape = ShapeOf(json.at("shape"));
    summary.stats = StatsOf(json.at("stats"));
    summary.ledger = LedgerOf(json.at("ledger"));
    return summary;
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("expected a summary: ", error.what()));
  }
}

}  // namespace proptests
