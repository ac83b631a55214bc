#include "proptests/engine/findings.h"

#include <sqlite3.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "traces/codec.h"

namespace proptests {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kSchema =
    "PRAGMA journal_mode = DELETE;"
    "CREATE TABLE IF NOT EXISTS finding ("
    "  id INTEGER PRIMARY KEY, class INTEGER NOT NULL, rule TEXT NOT NULL, place TEXT NOT NULL,"
    "  text TEXT NOT NULL, trace TEXT NOT NULL, flags TEXT NOT NULL, origin TEXT NOT NULL,"
    "  ops INTEGER NOT NULL, seen INTEGER NOT NULL, fails INTEGER NOT NULL,"
    "  UNIQUE (class, rule, place));"
    "CREATE TABLE IF NOT EXISTS campaign (id INTEGER PRIMARY KEY, state TEXT NOT NULL);";

absl::Status Error(sqlite3* db, const std::string& what) {
  return absl::InternalError(absl::StrCat(what, ": ", sqlite3_errmsg(db)));
}

// One SQL statement; parameters are bound in order.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) : db_(db) {
    sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& Bind(const std::string& text) {
    sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
    return *this;
  }
  Statement& Bind(uint64_t number) {
    sqlite3_bind_int64(statement_, ++bound_, static_cast<sqlite3_int64>(number));
    return *this;
  }
  // True: there is a row. Errors show as false, and in Done.
  bool Step() {
    result_ = statement_ == nullptr ? SQLITE_ERROR : sqlite3_step(statement_);
    return result_ == SQLITE_ROW;
  }
  absl::Status Done(const std::string& what) {
    while (Step()) {
    }
    return result_ == SQLITE_DONE ? absl::OkStatus() : Error(db_, what);
  }
  std::string Text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return text == nullptr ? "" : text;
  }
  uint64_t Number(int column) const {
    return static_cast<uint64_t>(sqlite3_column_int64(statement_, column));
  }

 private:
  sqlite3* const db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  int result_ = SQLITE_OK;
};

}  // namespace

std::string PlaceOf(const FailureReport& report) {
  if (report.failure.op_index >= report.ops.size()) return "end of the run";
  return std::string(traces::OpName(report.ops[report.failure.op_index].op.kind));
}

std::string EncodeState(const CampaignState& state) {
  return Json{{"arguments", state.arguments},
              {"identity", state.identity},
              {"shard", state.shard},
              {"shards", state.shards},
              {"next_case", state.next_case},
              {"complete", state.complete},
              {"summary", SummaryJson(state.summary)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<CampaignState> DecodeState(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    CampaignState state;
    state.arguments = json.at("arguments").get<std::vector<std::string>>();
    state.identity = json.at("identity");
    state.shard = json.at("shard");
    state.shards = json.at("shards");
    state.next_case = json.at("next_case");
    state.complete = json.at("complete");
    absl::StatusOr<Summary> summary = SummaryOfJson(json.at("summary"));
    if (!summary.ok()) return summary.status();
    state.summary = *std::move(summary);
    return state;
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected the state of a campaign: ", error.what()));
  }
}

absl::StatusOr<std::unique_ptr<Findings>> Findings::Open(const std::string& directory, Mode mode) {
  std::error_code error;
  if (mode == Mode::kCreate) fs::create_directories(directory, error);
  if (!fs::is_directory(directory, error)) {
    return absl::NotFoundError(absl::StrCat(directory, ": expected a directory of findings"));
  }
  const std::string path = absl::StrCat(directory, "/findings.db");
  if (mode == Mode::kMustExist && !fs::is_regular_file(path, error)) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": expected a directory of findings, but it has no findings.db"));
  }
  sqlite3* db = nullptr;
  const int opened = sqlite3_open(path.c_str(), &db);
  std::unique_ptr<Findings> findings(new Findings(directory, db));
  if (opened != SQLITE_OK) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": ", sqlite3_errmsg(db)));
  }
  sqlite3_busy_timeout(db, 10000);
  const absl::Status status = findings->Run(kSchema);
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", sqlite3_errmsg(db)));
  }
  return findings;
}

Findings::~Findings() { sqlite3_close(db_); }

absl::Status Findings::Run(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return absl::OkStatus();
  return Error(db_, directory_);
}

std::string Findings::PathOf(const KnownFailure& finding) const {
  return absl::StrCat(directory_, "/", finding.trace);
}

absl::StatusOr<bool> Findings::Add(const KnownFailure& finding) {
  Statement known(db_,
                  "UPDATE finding SET seen = seen + ?, fails = 1"
                  " WHERE class = ? AND rule = ? AND place = ?");
  const absl::Status counted = known.Bind(finding.seen == 0 ? 1 : finding.seen)
                                   .Bind(static_cast<uint64_t>(finding.print.cls))
                                   .Bind(finding.print.rule)
                                   .Bind(finding.place)
                                   .Done(directory_);
  if (!counted.ok()) return counted;
  if (sqlite3_changes(db_) != 0) return false;
  Statement add(db_,
                "INSERT INTO finding (class, rule, place, text, trace, flags, origin, ops,"
                " seen, fails) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)");
  const absl::Status added = add.Bind(static_cast<uint64_t>(finding.print.cls))
                                 .Bind(finding.print.rule)
                                 .Bind(finding.place)
                                 .Bind(finding.text)
                                 .Bind(finding.trace)
                                 .Bind(finding.flags)
                                 .Bind(finding.origin)
                                 .Bind(finding.ops)
                                 .Bind(finding.seen == 0 ? 1 : finding.seen)
                                 .Done(directory_);
  if (!added.ok()) return added;
  return true;
}

absl::Status Findings::SetReplayed(const KnownFailure& finding, Replayed how) {
  Statement set(db_, "UPDATE finding SET fails = ? WHERE id = ?");
  return set.Bind(uint64_t{how == Replayed::kFails ? 1u : 0u})
      .Bind(static_cast<uint64_t>(finding.id))
      .Done(directory_);
}

absl::StatusOr<std::vector<KnownFailure>> Findings::List() const {
  std::vector<KnownFailure> list;
  Statement select(db_,
                   "SELECT id, class, rule, place, text, trace, flags, origin, ops, seen,"
                   " fails FROM finding ORDER BY id");
  while (select.Step()) {
    KnownFailure finding;
    finding.id = static_cast<int64_t>(select.Number(0));
    finding.print.cls = static_cast<FailureClass>(select.Number(1));
    finding.print.rule = select.Text(2);
    finding.place = select.Text(3);
    finding.text = select.Text(4);
    finding.trace = select.Text(5);
    finding.flags = select.Text(6);
    finding.origin = select.Text(7);
    finding.ops = select.Number(8);
    finding.seen = select.Number(9);
    finding.fails = select.Number(10) != 0;
    list.push_back(std::move(finding));
  }
  const absl::Status status = select.Done(directory_);
  if (!status.ok()) return status;
  return list;
}

absl::Status Findings::SaveCampaign(const CampaignState& state) {
  // The only row: what earlier campaigns came to is in their reports.
  Statement save(db_, "INSERT OR REPLACE INTO campaign (id, state) VALUES (1, ?)");
  return save.Bind(EncodeState(state)).Done(directory_);
}

absl::StatusOr<std::optional<CampaignState>> Findings::LastCampaign() const {
  Statement select(db_, "SELECT state FROM campaign WHERE id = 1");
  if (!select.Step()) {
    const absl::Status status = select.Done(directory_);
    if (!status.ok()) return status;
    return std::optional<CampaignState>();
  }
  absl::StatusOr<CampaignState> state = DecodeState(select.Text(0));
  if (!state.ok()) return state.status();
  return std::optional<CampaignState>(*std::move(state));
}

absl::StatusOr<uint64_t> CopyFindings(const Findings& from, Findings* to) {
  absl::StatusOr<std::vector<KnownFailure>> list = from.List();
  if (!list.ok()) return list.status();
  uint64_t copied = 0;
  for (const KnownFailure& finding : *list) {
    KnownFailure copy = finding;
    std::error_code error;
    for (int i = 2; fs::exists(to->PathOf(copy), error); ++i) {
      copy.trace = absl::StrCat(fs::path(finding.trace).stem().string(), "_", i, ".trace");
    }
    absl::StatusOr<bool> added = to->Add(copy);
    if (!added.ok()) return added.status();
    if (!*added) continue;
    ++copied;
    fs::copy_file(from.PathOf(finding), to->PathOf(copy), error);
    if (error) {
      return absl::PermissionDeniedError(
          absl::StrCat(to->PathOf(copy), ": cannot be written: ", error.message()));
    }
  }
  return copied;
}

}  // namespace proptests
