#include "proptests/engine/saved_session.h"

#include "base/check.h"

namespace proptests {

using fake_l4::RewindArea;

SavedSession::SavedSession(const RunOptions& options, const std::vector<std::string>* files)
    : options_(options), files_(files) {
  if (RewindArea::IsAvailable()) area_ = std::make_unique<RewindArea>();
  {
    RewindArea::Inside inside(area_.get());
    session_ = new Session(options_, files_);
  }
  if (area_ != nullptr) area_->StartTracking();
}

SavedSession::~SavedSession() {
  // In an area it vanishes with it.
  if (area_ == nullptr) delete session_;
}

bool SavedSession::Step(const traces::Op& op) {
  done_.push_back(op);
  RewindArea::Inside inside(area_.get());
  return session_->Step(op);
}

void SavedSession::Save(Point* point) const {
  if (area_ != nullptr) area_->Save(&point->mark);
  point->ops = done_.size();
}

void SavedSession::Rewind(const Point& point) {
  CHECK(point.ops <= done_.size());
  done_.resize(point.ops);
  if (area_ != nullptr) {
    area_->Rewind(point.mark);
    return;
  }
  delete session_;
  session_ = new Session(options_, files_);
  for (const traces::Op& op : done_) session_->Step(op);
}

void SavedSession::RewindToStart() {
  Point start;
  start.ops = settled_;
  Rewind(start);
}

void SavedSession::Settle() {
  CHECK(settled_ == 0);
  settled_ = done_.size();
  if (area_ != nullptr) area_->Settle();
}

void SavedSession::StartAnew() {
  settled_ = 0;
  if (area_ == nullptr) return RewindToStart();
  done_.clear();
  area_->StartAnew();
}

}  // namespace proptests
