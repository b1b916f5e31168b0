// The clock of one case: how long its image was in sight, and what happened when.
//
// Events are [name, milliseconds since the image was drawn]; a reload or a second look begins a new segment with its
// own ["shown", 0]. They are kept in the draft, and go out with the answer.

const IDLE_MS = 60000;

class Clock {
  // `isInSight()` says whether the image can be seen now.
  constructor(isInSight) {
    this.isInSight = isInSight;
    this.draft = null;
    this.stop();
  }

  // The image of a case was drawn at `drawnAt`; `early` is when the first key came that was meant for no image.
  begin(draft, drawnAt, early = null) {
    this.draft = draft;
    this.drawnAt = drawnAt;
    this.hasFirst = false;
    this.isCovered = false;
    this.isIdle = false;
    if (early !== null) this.note("dropped", Math.min(early, drawnAt - 0.1));
    this.note("shown", drawnAt);
    this.touch();
    this.run();
  }

  // Nothing is noted any more: the answer is on its way, or another case is on the screen.
  end(name) {
    if (!this.draft) return;
    this.stop();
    this.note(name);
    this.draft = null;
    clearTimeout(this.idle);
  }

  note(name, at = performance.now()) {
    if (this.draft) this.draft.events.push([name, Math.round(10 * (at - this.drawnAt)) / 10]);
  }

  // Seconds that this image was in sight: neither hidden tab nor cover counts.
  seconds() {
    return this.draft.seconds + (this.since === null ? 0 : (performance.now() - this.since) / 1000);
  }

  stop() {
    if (this.draft) this.draft.seconds = this.seconds();
    this.since = null;
  }

  run() {
    if (this.draft && this.since === null && this.isInSight()) this.since = performance.now();
  }

  // Something lies over the image, or does not any more.
  cover(isCovered) {
    if (this.draft && isCovered !== this.isCovered) this.note(isCovered ? "covered" : "uncovered");
    this.isCovered = isCovered;
    if (isCovered) this.stop();
    else this.run();
  }

  hide(isHidden) {
    this.note(isHidden ? "hidden" : "visible");
    if (isHidden) this.stop();
    else this.run();
  }

  // The reader did something; `isDeed`: something that counts.
  touch(isDeed = false) {
    if (!this.draft) return;
    if (this.isIdle) this.note("active");
    this.isIdle = false;
    if (isDeed && !this.hasFirst) this.note("first");
    this.hasFirst = this.hasFirst || isDeed;
    clearTimeout(this.idle);
    this.idle = setTimeout(() => {
      this.isIdle = true;
      this.note("idle");
    }, IDLE_MS);
  }
}
