// proptests/engine/saved_session.h: a session that can be taken back to what it was.
//
// WHAT     Model, machine and checks live in one area of memory (fake_l4/rewind_area.h), so that a
//          point of a run is found again in microseconds:
//              SavedSession session(options, &files);
//              session.Step(op);
//              SavedSession::Point here;
//              session.Save(&here);
//              session.Step(other);
//              session.Rewind(here);
//          Where there are no areas (builds with sanitizers) the operations are done again in a new
//          session: the same, slower.
// INVARIANTS  After Rewind everything is as it was at Save, the hash included; a session at its
//          start is like a new one.
// SEE      session.h.

#ifndef PROPTESTS_ENGINE_SAVED_SESSION_H_
#define PROPTESTS_ENGINE_SAVED_SESSION_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fake_l4/rewind_area.h"
#include "proptests/engine/session.h"
#include "traces/op.h"

namespace proptests {

class SavedSession {
 public:
  // `files` as of Session.
  SavedSession(const RunOptions& options, const std::vector<std::string>* files);
  ~SavedSession();
  SavedSession(const SavedSession&) = delete;
  SavedSession& operator=(const SavedSession&) = delete;

  // As of Session.
  bool Step(const traces::Op& op);

  struct Point {
    fake_l4::RewindArea::Mark mark;
    size_t ops = 0;
  };
  void Save(Point* point) const;
  // REQUIRES: the point was saved on the way here, or after a Rewind to a point that was.
  void Rewind(const Point& point);
  void RewindToStart();
  // The same; all points are void, and what was stored to before costs no Rewind any more. For what
  // is begun rarely and rewound often.
  void StartAnew();
  // What is now is what RewindToStart goes back to, until StartAnew, and Rewind copies less; all
  // points are void. REQUIRES: nothing of the kind since StartAnew.
  void Settle();

  // For who only looks.
  const Session& session() const { return *session_; }
  machine::Machine* system() { return session_->system(); }
  // Whatever changes the session; what `change` leaves in it is made inside. Operations done here
  // are not done again where there are no areas: a Rewind must follow.
  template <typename Change>
  auto Do(Change change) {
    fake_l4::RewindArea::Inside inside(area_.get());
    return change(session_);
  }
  // Pages that a Rewind copies; 0 where there are no areas.
  size_t pages_stored_to() const { return area_ == nullptr ? 0 : area_->pages_stored_to(); }

 private:
  const RunOptions options_;
  const std::vector<std::string>* const files_;
  std::unique_ptr<fake_l4::RewindArea> area_;  // null: there are none
  Session* session_ = nullptr;                 // the area's, or ours
  std::vector<traces::Op> done_;               // since it was new
  size_t settled_ = 0;                         // of them, until Settle
};

}  // namespace proptests

#endif  // PROPTESTS_ENGINE_SAVED_SESSION_H_
