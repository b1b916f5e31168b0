// The reading panel: the conversation with the server. The views stand in viewer.js and views.js, the answer form in
// form.js, the keys in keys.js, the clock in clock.js, the cards that cover the image in cards.js, answers that outlive a
// page in sent.js, and what a key or click does in which state in states.js.
//
// Every run of the script hands over one byte string (a frame): the length of a JSON header (uint32, little endian), the
// header, and the pixels of this case and the next ones, as far as they are not here yet. Every answer goes out as one
// request with its own submit_id, and stays "not saved" until a receipt with the same submit_id comes back; sending it
// twice is harmless, for the store keeps one reading per id. After the receipt the panel asks for the next frame.
//
// With Enter the next image is drawn at once. It can be judged, and its Enter waits for the receipt of the last answer, so
// that one answer at most is on its way. Without a receipt in time the panel goes back to the case that is not saved.

const PATIENCE_MS = 3000; // without a receipt for so long, the answer is called "not saved yet"
const AGAIN_MS = 1500; // so long after it was sent a message without an answer is sent again; then twice as long
const LONGEST_AGAIN_MS = 6000;
const BOUNCE_MS = 400; // an Enter so soon after the feedback came is one that bounced, or was held down
const BURST_MS = 600; // keys that follow each other faster belong together: typed ahead, they are dropped together
const TELL_AGAIN_MS = 700; // so long after it was not heard, "shown" is told again; a time is in doubt from 2 s on
const SHORT_S = 5; // so many seconds before the protocol's time for a case is over, the reader is told
const WAIT_MS = 1000; // so long without an image to judge, the reader is told that it is on its way
const UNTOLD_MS = 60000; // events of a case that waits so long for its answer are told before it
const PULSE_MS = 2500; // so long after it was heard last, the server is asked whether it is there
const SLOW_MS = 1500; // a reply that lets wait for so long: the connection may be broken
const LONGEST_PULSE_MS = 4500; // and after so long it is
const GRACE_MS = 2000; // so long a broken connection is one that comes again by itself, as when another server takes over
const NO_CONNECTION = "no connection to the server";
const ON_ITS_WAY = "The next image is on its way …";
const DRAFT_IS_BACK = "Not saved yet: your draft of this case is back. Check it, then Enter.";
// What is said of an answer that the server did not look at, in the words of pages/door/answers.py.
const REFUSED = "refused";
const SIGNED_OUT = "Not saved: your sign-in has ended.";
const DOES_NOT_FIT = "Not saved: this answer does not fit the study. Please reload the page and answer again.";
const NOT_LET_THROUGH = "Not saved: something between this page and the study refused it. Tell the coordinator.";
const REFUSED_AT_THE_DOOR = {
  address: "Not saved: the server takes this page for another site's (a proxy changes Host or Origin). Tell the coordinator.",
  password: "Not saved: your password was set by somebody else. Load the page again and choose a new one.",
};
const NOTHING_TO_CORRECT = "There is no saved answer to correct.";
const STORE_AWAY = "the store is not available; tell the coordinator.";
const STORAGE_PREFIX = "reading-room:";

// Header, and the images by the id of their presentation.
function unpack(bytes) {
  let at = 4 + new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, at)));
  const images = header.images.map(({ presentation_id, views }) => ({
    presentation_id,
    views: views.map((view) => {
      const length = (view.height * view.width * view.channels * view.bits) / 8;
      const body = bytes.slice(at, at + length); // a copy of its own, so that 16-bit pixels are aligned
      at += length;
      return { ...view, pixels: view.bits === 16 ? new Uint16Array(body.buffer) : body };
    }),
  }));
  if (header.model?.has_map) header.model.levels = bytes.slice(at); // the map of each class, row by row
  return { header, images };
}

function newSubmitId() {
  // crypto.randomUUID is missing on plain http from another machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

class Panel {
  constructor(root) {
    this.root = root;
    this.parts = {};
    root.querySelectorAll("[data-part]").forEach((part) => {
      this.parts[part.dataset.part] = part;
    });
    this.sent = new Sent(this);
    this.pending = null; // what was sent and is not yet acknowledged; while it stands, the answer is locked
    this.asked = null; // id of the frame that was asked for after an answer
    this.frameMs = 0; // how long the last one took
    this.replyMs = 0; // how long the last short reply took
    this.held = null; // the case whose answer is on its way while the next image is on the screen already
    this.queued = null; // the answer to that next image, which waits for the receipt of the held one
    this.images = new Map(); // by presentation: the case on the screen, the held one and the next ones, no others
    this.unreported = new Set(); // presentations whose images were drawn, which the server does not know yet
    this.header = null;
    this.isDrawn = false; // the image of this case is on the screen
    this.drawnAt = Infinity; // since when, on the clock of the events; what was typed or pressed before is dropped
    this.pressedAt = 0; // when the pointer last went down
    this.lastAt = 0; // when the last key or click was made
    this.isBurst = false; // keys were typed before the image, and there was no pause since
    this.hasReceipt = false; // the receipt has come, the next image has not
    this.isRefused = false; // the answer on the screen was refused; it stays as a draft
    this.isPaused = false;
    this.isLost = false; // the connection is broken just now
    this.savedMeanwhile = ""; // the receipt that came while it was
    this.isOffline = false; // and does not come again by itself
    this.isReachable = true; // what the last pulse said
    this.isSlow = false; // its reply lets wait
    this.heardAt = performance.now(); // when the server was heard last
    this.isDialogOpen = false; // a dialog of the page lies over the panel
    this.isClosed = false;
    this.draft = null;
    this.dropped = 0; // keys that were meant for no image
    this.earlyAt = null; // when the first of them was made
    this.clock = new Clock(() => this.isInSight());
    this.typedAhead = []; // keys that wait for the next image, where the protocol lets readers type ahead
    this.coveredAt = -Infinity; // since when a card or the feedback is on the screen
    this.feedback = null; // key of the right class of the training case on the screen
    this.viewer = new Views(this.parts.frames, this.parts["read-out"], () => this.tellView());
    this.viewer.onPlace = (view, x, y) => this.place(view, x, y);
    this.keys = new Keys(() => this.header && this.write(), (keys) => this.keepKeys(keys));
    this.form = new Form(this, () => this.onField());
    this.cards = new Cards(this);
    this.unlisten = [];
    this.listen();
    this.watchConnection();
  }

  // ---- what the server says -------------------------------------------------------------------------------------

  update(bytes, send) {
    this.trigger = send;
    const { header, images } = unpack(bytes);
    images.forEach((image) => this.images.set(image.presentation_id, image));
    if (this.cards.open?.leadsTo) { // signed in again, in another tab
      this.cards.open = null;
      this.release();
    }
    const id = header.receipt?.submit_id;
    if (this.asked && this.asked === id) {
      this.frameMs = performance.now() - this.askedAt;
      this.stopAsking();
    }
    if (this.pending?.kind === "answer" && this.pending.submit_id !== id) return this.refill(header);
    if (this.pending) {
      if (id !== this.pending.submit_id) return; // it is sent again by itself
      const { kind } = this.pending;
      this.settle(header.receipt);
      if (this.pending) return;
      if (kind === "correct" && header.mode === "read") this.hint(NOTHING_TO_CORRECT);
    }
    if (this.asked) return; // an older one; that which was asked for comes
    this.take(header);
  }

  // A frame that comes while an answer is on its way: what follows the image on the screen is here.
  refill(header) {
    const places = [header, ...header.ahead].map((one) => one.presentation_id);
    const at = places.indexOf(this.header.presentation_id);
    if (at >= 0) this.header.ahead = header.ahead.slice(at);
  }

  // After the receipt of an answer: ask for the next frame, until it is here. The next case may be answered meanwhile.
  askNext(what = {}) {
    if (!this.header.answer_address) return; // a preview: the frame has come with the reply
    this.stopAsking();
    const { presentation_id, number } = this.header;
    const next = this.header.ahead[0];
    const isCovered = this.feedback !== null || (next && !this.draft && this.cards.isDue(next, this.header));
    this.asked = newSubmitId();
    const message = { kind: "next", submit_id: this.asked, presentation_id, number, is_open: !isCovered, ...what };
    let wait = AGAIN_MS;
    this.askFrame = () => {
      clearTimeout(this.askAgain);
      this.askedAt = performance.now();
      this.trigger("sent", { ...message, have: [...this.images.keys()] });
      this.askAgain = setTimeout(later, wait);
      wait = Math.min(2 * wait, LONGEST_AGAIN_MS);
    };
    const later = () => {
      const left = this.askedAt + this.frameTime() - performance.now();
      if (left > 0) this.askAgain = setTimeout(later, left);
      else this.askFrame();
    };
    this.askFrame();
    this.awaitImage();
  }

  // So long a frame may take on this line, ms: on a slow one it fills the line for seconds, and to ask for it again would
  // bring it twice.
  frameTime() {
    return Math.max(2 * this.frameMs, 15 * this.replyMs);
  }

  // The next image is not here yet: after a moment the reader is told.
  awaitImage() {
    clearTimeout(this.awaited);
    this.awaited = setTimeout(() => {
      if (!this.draft && !this.isClosed && !this.cards.isOpen) this.hint(ON_ITS_WAY);
    }, WAIT_MS);
  }

  stopAsking() {
    clearTimeout(this.askAgain);
    this.asked = null;
  }

  // What the server wants on the screen; feedback and cards come before it.
  take(header) {
    this.waiting = header;
    if (this.header && this.header.study !== header.study) { // nothing of another study stands before its cases
      this.feedback = null;
      this.cards.open = null;
    }
    this.keys.load(header.reader, header.own_keys);
    if (this.unkeptKeys) this.keepKeys(this.unkeptKeys);
    if (this.feedback !== null || this.cards.isOpen) return this.write();
    if (this.cards.comesBefore(header, this.header)) return this.write();
    this.hasSaved = false;
    const isSame = this.draft && this.header.draft_key === header.draft_key;
    if (isSame && !header.model) header.model = this.header.model;
    if (!isSame) this.leave();
    this.header = header;
    const known = new Set([header, ...header.ahead].map((one) => one.presentation_id));
    [...this.images.keys()].filter((id) => !known.has(id)).forEach((id) => this.images.delete(id));
    const isHere = this.images.has(header.presentation_id);
    if (!isHere || (header.arm === "aided" && !header.model)) {
      this.isDrawn = false;
      if (!isSame) this.draft = null; // it is of the case before, and must not be kept under the name of this one
      return this.request(isHere ? "model" : "images");
    }
    if (!isSame) this.show();
    else {
      if (this.isDrawn) this.dropped = 0; // else its image says so when it is drawn
      this.showModel();
    }
    this.write();
    this.playAhead();
  }

  // On from feedback or a card.
  goOn() {
    if (this.madeAt - this.coveredAt < BOUNCE_MS) return; // typed for what was on the screen before
    if (this.cards.open?.leadsTo) return window.location.assign(this.cards.open.leadsTo);
    if (this.feedback !== null) {
      this.feedback = null;
      this.draft = null;
    } else this.cards.close();
    this.hint("");
    if (this.asked) this.hasReceipt = true; // the next frame is on its way
    else this.take(this.waiting);
  }

  // A receipt has come for what was sent.
  settle(receipt) {
    clearTimeout(this.timer);
    clearTimeout(this.again);
    if (receipt.state === "try-again") return this.beLate(receipt.message);
    const { mode, number } = (this.held || this).header;
    const isSaved = receipt.state === "saved";
    const isQuiet = receipt.state === "done" && /^(images|model|look)$/.test(this.pending.kind) && !this.pending.isLate;
    if (isSaved && receipt.feedback) {
      this.feedback = receipt.feedback;
      this.coveredAt = performance.now();
    }
    if (isSaved || this.pending.kind === "cancel") this.forget();
    else if (this.held) this.bringBack();
    this.held = null;
    if (!isSaved) this.typedAhead = [];
    this.hasReceipt = isSaved && !(this.isDrawn && this.draft);
    this.hasSaved = isSaved; // until the next frame
    this.isRefused = receipt.state === "refused" && this.pending.kind === "answer";
    this.pending = null;
    if (this.isRefused && this.isDrawn) this.clock.begin(this.draft, performance.now());
    else this.clock.run();
    if (isSaved) {
      const what = `${mode === "read" ? "Case" : "Correction of case"} ${number} saved`;
      this.say(`${what}, receipt ${receipt.code}, ${new Date(receipt.saved_at).toLocaleTimeString()}.`, "saved");
    } else if (this.isRefused) {
      const what = mode === "read" ? "answer to" : "correction of"; // another case may be on the screen soon
      this.say(receipt.message.replace(/^Not saved: /, `Your ${what} case ${number} is not saved: `), "alert");
    } else if (!isQuiet) {
      this.say(receipt.message, receipt.state === "refused" ? "alert" : "");
    }
    this.hint("");
  }

  // Put the case of the header on the screen.
  show() {
    const { header } = this;
    const kept = this.recall(header.draft_key);
    if (this.parts.hint.textContent === DRAFT_IS_BACK) this.hint(""); // of the case before
    this.clock.end("hidden");
    this.draft = kept || { ...emptyDraft(), ...(header.previous || {}) };
    this.isRefused = false;
    this.isDrawn = false;
    this.drawnAt = Infinity;
    clearTimeout(this.overTime);
    clearTimeout(this.shortTime);
    this.isShort = false;
    this.parts.comment.value = this.draft.comment;
    const [inside, outside] = [this.root.getRootNode().activeElement, document.activeElement];
    if (inside && inside.matches("textarea, input")) inside.blur(); // what is typed now is no part of the last answer
    if (outside && /^(A|BUTTON)$/.test(outside.tagName)) outside.blur(); // the link that led here must not take Enter
    const isHere = () => this.header.draft_key === header.draft_key && this.draft && !this.isDrawn && !this.isClosed;
    const paint = () => {
      this.viewer.show(this.images.get(header.presentation_id).views);
      this.showModel();
      // The second frame begins when the first, with the image, is done; a hidden tab draws none and takes no key.
      requestAnimationFrame(() => requestAnimationFrame(() => isHere() && this.beDrawn(kept)));
    };
    this.sent.goOn();
    if (kept || !header.blank_ms || header.mode !== "read") return paint();
    this.viewer.blank();
    setTimeout(() => isHere() && paint(), header.blank_ms);
  }

  // The model's class map and the reader's marks on the image.
  showModel() {
    const { model } = this.header;
    if (!this.viewer.image) return;
    if (model?.levels && !this.viewer.mapped) {
      const number = this.header.classes.findIndex((one) => one.key === model.class_key);
      this.viewer.viewers[model.map_view].setMap(model.levels, model.map, number);
    }
    this.viewer.viewers.forEach((viewer, number) => viewer.setMarks(this.form.marksOf(number + 1)));
  }

  // The image is on the screen: from now on keys count.
  beDrawn(kept) {
    const { header, draft } = this;
    this.isDrawn = true;
    this.hasReceipt = false;
    clearTimeout(this.awaited);
    if (this.parts.hint.textContent === ON_ITS_WAY) this.hint("");
    this.drawnAt = performance.now();
    draft.dropped += this.dropped;
    this.clock.begin(draft, this.drawnAt, this.dropped ? this.earlyAt : null);
    if (this.isCovered()) this.clock.cover(true);
    const isJustNow = this.drawnAt - this.lastAt < PATIENCE_MS; // what was typed long before was told then
    if (this.dropped && isJustNow) this.hint("Typed before this image: not taken. Wait a moment, then answer.");
    else if (!this.pending && !this.isRefused && kept && this.form.hasAnything()) this.hint(DRAFT_IS_BACK);
    this.dropped = 0;
    this.report(header.presentation_id);
    const isMissing = header.ahead.some((one) => !this.images.has(one.presentation_id));
    if (isMissing && header.mode === "read" && !this.asked && !this.pending) this.askNext({ is_open: false }); // the next images
    if (header.timeout_s && !draft.is_over_time) {
      // left_s: by the server's clock, where this case was on a screen before, perhaps in another tab.
      const left = Math.min(header.timeout_s - draft.seconds, header.left_s ?? Infinity);
      this.overTime = setTimeout(() => this.beOverTime(), Math.max(0, 1000 * left));
      this.shortTime = setTimeout(() => this.beShort(), Math.max(0, 1000 * (left - SHORT_S)));
    }
    this.write();
    this.playAhead();
  }

  // The last seconds of the protocol's time for a case.
  beShort() {
    this.isShort = true;
    this.write();
  }

  // The protocol's time for a case is over: the image is covered, and the answer is sent as it stands, or as none.
  beOverTime() {
    if (!this.draft || this.feedback !== null || this.queued) return;
    if (this.pending?.kind === "answer" && !this.held) return; // it was sent in time
    this.draft.is_over_time = true;
    this.typedAhead = []; // it was meant for this case
    this.clock.note("over-time");
    this.root.getRootNode().activeElement?.blur(); // a field that was being written is closed
    this.changeCover();
    this.hint("");
    if (this.header.mode === "read" && this.header.answer_address && !this.held) this.tellOver();
    this.write();
  }

  // The answer as it stands goes to the server at once, for its own clock; Enter sends the same again.
  tellOver() {
    this.closeOver();
    this.draft.over_message = this.message();
    this.remember();
    const options = { method: "POST", body: JSON.stringify(this.draft.over_message), keepalive: true };
    fetch(this.header.answer_address, options).catch(() => null);
  }

  // Without a complete answer there is none.
  closeOver() {
    if (!this.form.missing()) return;
    Object.assign(this.draft, { class_key: null, confidence: null, probabilities: null, marks: [] });
    Object.assign(this.draft, { is_unreadable: true, unreadable_reason: this.header.no_answer_in_time });
  }

  writeOver() {
    const { draft, header, parts } = this;
    parts.over.hidden = !draft?.is_over_time || this.feedback !== null;
    if (parts.over.hidden) return;
    parts["over-text"].textContent = this.form.missing() || draft.unreadable_reason === header.no_answer_in_time
      ? "Enter goes on. This case counts as not answered in time; no answer is guessed for it."
      : header.mode === "correct" ? "Enter now saves the correction as it stands; Esc leaves the answer as it was."
        : "Enter saves what you chose, as it stands.";
  }

  over() {
    this.hint("Not taken: the time for this case is over. Enter goes on.");
  }

  sendOver() {
    this.closeOver();
    if (this.held) this.queue();
    else this.send();
  }

  cancelOver() {
    if (this.header.mode === "correct") this.cancel();
  }

  // ---- the next image, while the last answer is on its way --------------------------------------------------------

  // With Enter: the next image is here already.
  moveOn() {
    const next = this.header.ahead[0];
    if (!next || this.pending.isLate || !this.images.has(next.presentation_id)) return;
    if (this.header.is_training || this.cards.isDue(next, this.header)) return; // they wait for the receipt
    if (next.arm === "aided") return; // so does the model's answer, without which there is no aided reading
    this.held = { header: this.header, view: this.viewer.snapshot() };
    this.header = { ...this.header, ...next, model: null, ahead: this.header.ahead.slice(1) };
    this.say(`Case ${this.held.header.number}: saving …`, "");
    this.show();
  }

  // No receipt: back to the case that is not saved, as it was sent.
  bringBack() {
    const { header, view } = this.held;
    this.queued = null; // it is a draft again
    this.stopClock();
    this.held = null;
    this.header = header;
    this.show();
    this.viewer.restore(view);
    this.showModel();
  }

  // Tell the server that an image was drawn; until it knows, soon once more, for its clock of the case begins here, and
  // then with every pulse.
  async report(id, isFirst = true) {
    this.unreported.add(id);
    const options = { method: "POST", body: id, keepalive: true };
    const sentAt = performance.now();
    const isTold = await fetch(this.header.shown_address, options).then((answer) => answer.ok, () => false);
    this.replyMs = performance.now() - sentAt;
    if (isTold) this.unreported.delete(id);
    else if (isFirst) setTimeout(() => !this.isClosed && this.unreported.has(id) && this.report(id, false), TELL_AGAIN_MS);
  }

  // Away from the case on the screen, perhaps for good.
  leave() {
    this.clock.end("hidden");
    this.remember();
    this.tellEvents();
  }

  // Tell the server what was seen of a case that is left without an answer: what is new since it was last told. If the
  // case is answered after all, its answer brings everything.
  async tellEvents() {
    const { header, draft } = this;
    if (!draft || !header.events_address || this.pending?.kind === "answer") return;
    const first_event = Math.max(draft.n_told, this.telling?.draft === draft ? this.telling.end : 0);
    const end = draft.events.length;
    if (first_event === end) return;
    this.telling = { draft, end };
    const { presentation_id, revision } = header;
    const events = draft.events.slice(first_event);
    const body = JSON.stringify({ presentation_id, revision, draft_id: draft.draft_id, first_event, events });
    const options = { method: "POST", body, keepalive: true };
    const isTold = await fetch(header.events_address, options).then((answer) => answer.ok, () => false);
    if (!isTold && this.telling?.draft === draft) this.telling = null;
    const kept = isTold && this.recall(header.draft_key);
    if (!kept || kept.draft_id !== draft.draft_id) return;
    draft.n_told = Math.max(draft.n_told, end);
    this.keep(header.draft_key, { ...kept, n_told: Math.max(kept.n_told, end) });
  }

  hasOldEvents() {
    const untold = this.clock.draft?.events[this.clock.draft.n_told];
    return untold !== undefined && performance.now() - this.drawnAt - untold[1] > UNTOLD_MS;
  }

  // ---- the clock ------------------------------------------------------------------------------------------------

  isInSight() {
    const isLocked = this.pending !== null && (!this.held || this.queued !== null);
    return this.isDrawn && !isLocked && !this.isCovered() && !document.hidden;
  }

  isCovered() {
    return this.isPaused || Boolean(this.draft?.is_over_time) || !this.parts.sheet.hidden || this.isDialogOpen || this.cards.isOpen;
  }

  stopClock() {
    this.clock.stop();
    this.remember();
  }

  // ---- the draft, kept in this tab until it is saved --------------------------------------------------------------

  remember() {
    if (this.draft) {
      const seconds = this.clock.draft === this.draft ? this.clock.seconds() : this.draft.seconds;
      this.keep(this.header.draft_key, { ...this.draft, seconds });
    }
  }

  keep(key, draft) {
    keepInTab(STORAGE_PREFIX + key, JSON.stringify(draft));
  }

  // A draft of another version of this page may lack something; what is no draft is none.
  recall(key) {
    try {
      const kept = JSON.parse(keptInTab(STORAGE_PREFIX + key));
      return kept && Array.isArray(kept.events) ? { ...emptyDraft(), ...kept } : null;
    } catch {
      return null;
    }
  }

  // The answer is saved, or its correction was left: its draft goes. The draft of a next case that is on the screen already stays.
  forget() {
    keepInTab(STORAGE_PREFIX + (this.held || this).header.draft_key, "null");
    if (!this.held && this.feedback === null) this.draft = null;
  }

  // ---- keys -----------------------------------------------------------------------------------------------------

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.header) return;
    if (event.isComposing || event.key === "Process") return; // a letter in the making
    const target = event.composedPath()[0];
    const isInside = this.root.contains(target);
    const isSlider = isInside && target.type === "range";
    if ((/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName || "") && !isSlider) || target.isContentEditable) {
      if (!isInside) return;
      event.stopImmediatePropagation(); // no shortcut of the page fires while a field is written
      const name = this.form.onFieldKey(event);
      if (name !== null) this.press(name, event.timeStamp);
      return;
    }
    if (target.tagName === "CANVAS" && !isInside) return; // a table of the page, which is written with keys
    if (isSlider && /^(Arrow|Page|Home|End)/.test(event.key)) return;
    const isFocused = /^(A|BUTTON)$/.test(target.tagName || "");
    if (event.key === "Tab" && isInside && target.closest(".cover")) return this.tabWithin(target.closest(".cover"), event);
    if (isFocused && (event.key === " " || (event.key === "Enter" && !isInside))) return; // reached by Tab: theirs
    if (this.newKeyOf && !this.parts.sheet.hidden) return this.giveKey(event);
    const name = this.neighbour(target, event) || this.keys.name(event, this.header);
    if (name === null) return;
    if (this.isDialogOpen) return this.press(name, event.timeStamp); // the key is the dialog's
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.repeat && !/^(\+|-|upper|lower|Arrow)/.test(name)) return; // a key held down is one key
    this.press(name, event.timeStamp);
  }

  // The focus stays in what covers the image.
  tabWithin(cover, event) {
    event.preventDefault();
    const stops = [...cover.querySelectorAll("button")].filter((one) => one.offsetParent !== null);
    const at = stops.indexOf(this.root.getRootNode().activeElement) + (event.shiftKey ? -1 : 1);
    stops[(at + stops.length) % stops.length].focus();
  }

  // In a focused radio group the arrows choose the neighbour, as ARIA asks; the focus goes along.
  neighbour(target, { key, code }) {
    if (/^Numpad/.test(code)) return null; // a digit
    const group = this.root.contains(target) ? target.closest("[role=radiogroup]") : null;
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[key];
    if (!group || !step) return null;
    const radios = [...group.children];
    const next = radios[(radios.indexOf(target) + step + radios.length) % radios.length];
    if (deedOf(this.state(), "choose") === "choose") next.focus();
    return next.dataset.key;
  }

  state() {
    const { draft } = this;
    return stateOf({
      isClosed: this.isClosed, isDialogOpen: this.isDialogOpen,
      isDrawn: this.isDrawn && draft !== null, hasReceipt: this.hasReceipt, isPaused: this.isPaused,
      isCard: this.cards.isOpen, isFeedback: this.feedback !== null,
      isSheetOpen: !this.parts.sheet.hidden, isPending: this.pending !== null, isLate: this.pending?.isLate,
      isAhead: this.held !== null, isQueued: this.queued !== null, isOver: draft?.is_over_time,
      isOffline: this.isOffline,
      isRefused: this.isRefused, isCorrecting: this.header?.mode === "correct",
      isComplete: draft !== null && this.header !== null && this.form.missing() === "",
    });
  }

  intent(name) {
    const names = { Enter: "save", U: "correct", Escape: "leave", P: "pause", "?": "sheet", C: "comment" };
    return names[name] || (/^(class|step|slide|rate|type|unmark|tick|X|L|place)/.test(name) ? "choose" : "view");
  }

  // Follow the table for one key or click; `madeAt` is when it was made, which may lie before the image was drawn. Of
  // keys that were typed in one go, no part answers the next image: half of an answer meant for it would be mixed up.
  press(name, madeAt) {
    if (madeAt - this.lastAt >= BURST_MS) this.isBurst = false;
    this.lastAt = madeAt;
    const isForNext = this.pending === null || (this.held !== null && this.queued === null);
    const isEarly = this.isDrawn && (madeAt < this.drawnAt || (this.isBurst && isForNext));
    const state = isEarly ? "drawing" : this.state();
    const deed = deedOf(state, this.intent(name));
    if (/^(choose|comment|send|view|pause|openSheet)$/.test(deed)) this.clock.touch(true);
    this.madeAt = madeAt;
    this[deed](name);
    if (this.isClosed) return;
    this.playAhead(); // what waited under a cover
    this.write();
  }

  nothing() {}

  // Where the protocol lets readers type ahead, choices and Enter wait for the next image, and are marked.
  isTypedAhead(name) {
    const isForNext = this.hasReceipt || this.held !== null || this.pending?.kind === "answer" || !this.pending;
    if (!this.header?.may_type_ahead || this.pending?.isLate || !isForNext || this.isBurst) return false;
    if (!/^(class|step|slide|Enter)/.test(name) || this.form.kind === "probabilities") return false;
    this.typedAhead.push([name, this.madeAt]);
    this.hint("Typed ahead: taken for the next case, and marked.");
    return true;
  }

  // As soon as the image is there, so that what is typed then comes behind it.
  playAhead() {
    while (this.typedAhead.length && deedOf(this.state(), "choose") === "choose") {
      const [name, madeAt] = this.typedAhead.shift();
      if (name !== "Enter" || !this.form.missing()) { // an Enter too many answers nothing
        if (!this.draft.is_typed_ahead) this.clock.note("typed-ahead", Math.min(madeAt, this.drawnAt - 0.1));
        this.draft.is_typed_ahead = true;
      }
      this[deedOf(this.state(), this.intent(name))](name);
      this.write();
    }
  }

  told() {
    this.hint("Not taken: this answer is saved. Enter goes on.");
  }

  tick(name) {
    if (this.madeAt - this.coveredAt < BOUNCE_MS || !this.cards.tick(name)) this.hint("Not taken: Enter goes on.");
  }

  drop(name) {
    if (this.isTypedAhead(name)) return;
    this.loseKey(this.isDrawn && this.draft !== null);
    this.hint("Typed before this image: not taken. Wait a moment, then answer.");
  }

  lock(name) {
    if (this.isTypedAhead(name)) return;
    this.loseKey(this.held !== null);
    if (this.queued) this.hint("Not taken: the answer is saved as it stands here.");
    else if (this.held) this.hint(`Not taken: case ${this.held.header.number} is being saved. Wait a moment, then Enter.`);
    else if (this.pending.kind === "answer") this.hint("Not taken: the answer is being saved as it stands here.");
    else this.hint("Not taken: waiting for the server.");
  }

  // A key or click that was meant for no image; it counts for the image on the screen, or for the one that comes.
  loseKey(isHere) {
    if (!this.isBurst) {
      this.earlyAt = this.madeAt;
      if (isHere) this.clock.note("dropped", Math.max(this.madeAt, this.drawnAt));
    }
    if (isHere) this.draft.dropped += 1;
    else this.dropped += 1;
    this.isBurst = true;
  }

  wait(name) {
    this.isTypedAhead(name);
  }

  cover() {
    const texts = {
      paused: "Not taken: paused. P goes on.", sheet: "Not taken: the keys cover the image. Esc closes them.",
      dialog: "Not taken: a dialog covers the image.", card: "Not taken: Enter goes on.",
    };
    this.hint(texts[this.state()]);
  }

  save() {
    if (this.form.missing()) this.ask();
    else this.send();
  }

  offline() {
    this.hint("No connection to the server: only the case on the screen can be answered.");
  }

  retry() {
    this.sendPending();
  }

  openSheet() {
    this.parts.sheet.hidden = false;
    this.fitSheet();
    this.changeCover();
    this.parts.sheet.querySelector("[data-key=Escape]").focus();
  }

  closeSheet() {
    this.parts.sheet.hidden = true;
    this.newKeyOf = null;
    this.release();
    this.changeCover();
    this.hint("");
  }

  correct() {
    if (this.mayCorrect()) this.request("correct");
    else if (this.header.mode === "correct") this.hint("No earlier answer may be corrected.");
    else this.hint(NOTHING_TO_CORRECT);
  }

  // Between a receipt and the next frame only the server knows: the frame here is older than the answer just saved.
  mayCorrect() {
    const { header } = this;
    return header.can_correct || (this.hasSaved && header.may_go_back && header.mode === "read");
  }

  cancel() {
    this.leave();
    this.request("cancel");
  }

  comment() {
    if (this.draft.is_unreadable) this.parts.reason.focus();
    else if (this.header.may_comment) this.parts.comment.focus();
    else this.hint("This study takes no comments.");
  }

  view(name) {
    const { viewer } = this;
    const [end, way] = name.split(" ");
    if (/^(V|B|opacity|threshold)/.test(name)) {
      const value = viewer.mapped?.map[end] + (way === "up" ? 0.1 : -0.1);
      return viewer.mapped && this.changeMap(end, end === "B" ? way : value);
    }
    const step = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[name];
    if (step) viewer.pan(step[0] * 40, step[1] * 40);
    else if (way) viewer.moveThreshold(end, (way === "up" ? 0.04 : -0.04) * (viewer.defaults.upper - viewer.defaults.lower));
    else if (name === "+" || name === "-") viewer.zoomAt(name === "+" ? 1.25 : 0.8);
    else if (name === "J") viewer.toggleJoined();
    else viewer[{ reset: "reset", I: "invert", M: "nextTable", N: "toggleSmooth", O: "oneToOne" }[name]]();
  }

  // "V": the class map on or off. "B": that of the next class, or "back". "opacity" or "threshold" set.
  changeMap(what, value) {
    const viewer = this.viewer.mapped;
    if (what === "V") viewer.toggleMap();
    else if (what === "B") viewer.turnMap(value === "back" ? -1 : 1);
    else viewer.changeMap(what, value);
    this.write();
  }

  // A click on the image, as a key of the kind "choose".
  place(view, x, y) {
    if (!this.header.has_location_mark) return;
    this.spot = { view, x, y };
    this.press("place", this.pressedAt); // it began going down
  }

  mark(name) {
    if (!this.header.has_location_mark) return this.hint("This study takes no marks.");
    if (name === "L") {
      const { pointer } = this.viewer.one;
      const point = pointer && this.viewer.one.pointAt(pointer);
      if (!point) return this.hint("Put the pointer on the image first.");
      this.spot = { view: this.viewer.active + 1, ...point };
    }
    const { view, x, y } = this.spot;
    this.form.place(view, x, y, (14 * (window.devicePixelRatio || 1)) / this.viewer.viewers[view - 1].magnification());
  }

  choose(name) {
    const [what, value] = name.split(" ");
    if (this.draft.is_unreadable && what !== "X") return this.hint(this.form.choose("none"));
    if (what === "L" || what === "place") this.mark(what);
    else this.hint(this.form.choose(what, value));
    this.isRefused = false;
    this.remember();
    this.showModel();
  }

  // A field of the form has changed.
  onField() {
    this.clock.touch(true);
    this.isRefused = false;
    this.remember();
    this.write();
  }

  pause() {
    this.isPaused = true;
    this.parts.sheet.hidden = true;
    this.changeCover();
    this.tellEvents();
    this.parts.pause.hidden = false;
    this.parts.pause.querySelector("button").focus();
  }

  changeCover() {
    this.clock.cover(this.isCovered());
    this.remember();
  }

  // A cover goes, and the focus with it, so that the keys answer again.
  release() {
    const focused = this.root.getRootNode().activeElement;
    if (focused && focused.closest(".cover")) focused.blur();
  }

  resume() {
    this.isPaused = false;
    this.release();
    this.changeCover();
    this.hint("");
  }

  // ---- sending --------------------------------------------------------------------------------------------------

  ask() {
    this.hint(this.form.missing());
  }

  send() {
    this.pending = this.message();
    this.sendPending();
    this.moveOn();
  }

  // Enter for the image on the screen, before the receipt of the last answer: it is sent after that receipt.
  queue() {
    if (this.form.missing()) return this.ask();
    this.queued = this.message();
    this.hint(`Case ${this.header.number} is saved after case ${this.held.header.number}.`);
  }

  // The answer on the screen as it goes to the server; its clock stands from now on.
  message() {
    const { header, draft } = this;
    if (draft.over_message) return draft.over_message;
    clearTimeout(this.overTime);
    clearTimeout(this.shortTime);
    this.clock.end("submitted");
    this.remember();
    this.dropped = 0;
    return {
      kind: "answer",
      submit_id: newSubmitId(),
      presentation_id: header.presentation_id,
      is_training: header.is_training,
      expected_revision: header.revision,
      ...this.form.answer(),
      reading_seconds: Math.round(draft.seconds * 1000) / 1000,
      display_state: {
        ...this.viewer.state(), keys_dropped_before_image: draft.dropped || 0, screen: this.cards.screen(),
        ...(draft.is_over_time && { is_over_time: true }),
      },
      events: [...draft.events],
    };
  }

  request(kind, more = {}) {
    this.stopAsking();
    this.stopClock();
    this.dropped = 0;
    this.pending = { kind, submit_id: newSubmitId(), presentation_id: this.header.presentation_id, ...more };
    this.sendPending();
    if (/^(images|model)$/.test(kind)) this.awaitImage();
  }

  sendPending() {
    clearTimeout(this.timer);
    if (this.pending.isLate) this.say("Trying again …", "");
    else if (!/^(images|model|look)$/.test(this.pending.kind)) this.say(this.pending.kind === "answer" ? "Saving …" : "", "");
    this.pending.isLate = false;
    if (this.pending.kind === "answer" && this.header.answer_address) this.sent.remember(this.pending, (this.held || this).header);
    this.againMs = AGAIN_MS;
    if (this.isOffline) return this.beLate(NO_CONNECTION);
    this.timer = setTimeout(() => this.beLate(), PATIENCE_MS);
    this.transmit();
  }

  // Send, and go on sending until it is answered, without being asked: the line may have lost it, and a server that
  // was started anew does not call by itself. The same submit_id goes out again, so the answer is stored once however
  // often it arrives. `have`: images that need not come again.
  transmit() {
    const { isLate, ...message } = this.pending;
    if (message.kind === "answer" && this.header.answer_address) this.post(message);
    else this.trigger("sent", { ...message, have: [...this.images.keys()] });
    this.transmitLater();
  }

  // The server's reply to an answer; null: none. It goes out even if the page is left in this moment.
  deliver(message) {
    const text = JSON.stringify(message);
    const options = { method: "POST", body: text, keepalive: text.length < 60000 };
    return fetch(this.header.answer_address, options).then(async (answer) => {
      if (answer.ok) return await answer.json();
      const atTheDoor = REFUSED_AT_THE_DOOR[answer.headers.get("x-reading-room-refusal")];
      const why = {
        400: [REFUSED, DOES_NOT_FIT], 401: [REFUSED, SIGNED_OUT], 403: [REFUSED, atTheDoor || NOT_LET_THROUGH],
        413: [REFUSED, DOES_NOT_FIT], 503: ["try-again", STORE_AWAY],
      };
      const [state, said] = why[answer.status] || [];
      return state && { submit_id: message.submit_id, state, message: said };
    }).catch(() => null);
  }

  // An answer to the server, and its receipt.
  async post(message) {
    const reply = await this.deliver(message);
    if (reply) this.heardAt = performance.now();
    if (!reply || this.isClosed || this.pending?.submit_id !== reply.submit_id) return; // it is sent again by itself
    if (reply.state !== "try-again") this.sent.forget(reply.submit_id);
    const { queued } = this;
    this.settle(reply);
    if (this.pending) return;
    this.hasLooked = reply.message === SIGNED_OUT;
    if (this.hasLooked && this.isLost) return this.beSignedOut();
    this.askNext(reply.state === "refused" ? { unsaved: reply.message } : {});
    if (queued && reply.state === "saved") {
      this.queued = null;
      this.pending = queued;
      this.sendPending();
      this.moveOn();
    }
    this.write();
    this.playAhead();
    if (this.isSlow || !this.isReachable) this.beReached(); // the receipt came, so the line is not cut
  }

  transmitLater() {
    clearTimeout(this.again);
    const least = this.pending.kind === "answer" ? 0 : this.frameTime();
    this.again = setTimeout(() => this.transmit(), Math.max(least, this.againMs));
    this.againMs = Math.min(2 * this.againMs, LONGEST_AGAIN_MS);
  }

  // No receipt in time, or the store is busy: say so.
  beLate(reason = "") {
    clearTimeout(this.timer);
    this.pending.isLate = true;
    this.typedAhead = [];
    if (this.held) this.bringBack();
    const what = this.pending.kind === "answer" ? "Not saved yet" : "No answer from the server yet";
    const then = reason === NO_CONNECTION && this.pending.kind === "answer" ? "It goes out by itself when the connection is back."
      : "Press Enter to try again.";
    this.say(`${what}${reason && `: ${reason.replace(/\.$/, "")}`}. ${then}`, "alert");
    if (reason) this.transmitLater();
    this.write();
  }

  // Streamlit writes into the page how its connection stands; a line that is cut without a word is found by asking the
  // server now and then. Streamlit's own dialog would cover the image and make the form inert, so the panel closes it
  // and says the same itself.
  watchConnection() {
    const app = document.querySelector("[data-testid=stApp]");
    const isConnected = () => app === null || app.dataset.testConnectionState === "CONNECTED";
    const look = () => {
      const wasOpen = this.isDialogOpen;
      this.isDialogOpen = false;
      for (const dialog of document.querySelectorAll("[data-testid=stDialog]")) {
        if (/connection error/i.test(dialog.textContent)) dialog.querySelector("[aria-label=Close]")?.click();
        else this.isDialogOpen = true;
      }
      if (wasOpen !== this.isDialogOpen) this.clock.cover(this.isCovered());
      const isCut = !navigator.onLine || !this.isReachable;
      this.tellConnection(isCut || this.isSlow || !isConnected(), isCut);
      if (this.header) this.write();
    };
    this.beReached = () => {
      [this.isSlow, this.isReachable] = [false, true];
      look();
    };
    const feelPulse = async () => {
      if (!this.header || this.isFeeling) return;
      this.isFeeling = true;
      const slow = setTimeout(() => {
        this.isSlow = true;
        look();
      }, SLOW_MS);
      const options = { cache: "no-store", signal: AbortSignal.timeout(LONGEST_PULSE_MS) };
      const [status, reason] = await fetch(this.header.pulse_address, options)
        .then(async (answer) => [answer.status, await answer.text()]).catch(() => [0, ""]);
      clearTimeout(slow);
      if (this.isClosed) return;
      this.heardAt = performance.now();
      [this.isFeeling, this.isSlow, this.isReachable] = [false, false, status !== 0];
      look();
      if (status === 401 || status === 410) this.lookAgain(status === 401 ? SIGNED_OUT : reason);
      else if (status === 200) {
        this.hasLooked = false;
        if (this.cards.open?.leadsTo) this.beSignedIn();
        this.unreported.forEach((id) => this.report(id, false));
        if (this.hasOldEvents()) this.tellEvents();
      }
    };
    const observer = new MutationObserver((changes) => {
      if (changes.some((change) => change.type === "attributes") && isConnected()) this.isReachable = true;
      look();
    });
    observer.observe(document.body, { childList: true });
    if (app) observer.observe(app, { attributeFilter: ["data-test-connection-state"] });
    const pulse = setInterval(() => performance.now() - this.heardAt >= PULSE_MS && feelPulse(), PULSE_MS / 5);
    window.addEventListener("online", feelPulse);
    window.addEventListener("offline", look);
    this.unlisten.push(() => {
      observer.disconnect();
      clearInterval(pulse);
      window.removeEventListener("online", feelPulse);
      window.removeEventListener("offline", look);
    });
    look();
  }

  // The sign-in has ended, or the study is not open any more: the page says so when it is drawn anew, and what was not
  // saved. The panel says it itself where the connection is broken (without a sign-in it does not come again), or where
  // the page stays although the server goes on saying so (its connection was opened with a cookie that is gone).
  lookAgain(why) {
    if (this.cards.open?.leadsTo || this.pending?.kind === "answer") return; // whose reply says it
    if (why === SIGNED_OUT && (this.isLost || this.hasLooked)) return this.beSignedOut();
    this.hasLooked = why === SIGNED_OUT;
    if (!this.pending) this.request("look", this.unsaved(why));
  }

  // What is to be told of the case on the screen when it cannot be saved any more.
  unsaved(why) {
    const isBegun = this.draft && this.header.mode === "read" && this.feedback === null && this.form.hasAnything();
    return isBegun ? { unsaved: why, number: this.header.number } : {};
  }

  // The last card of this page. Nothing of a case stays under it but the draft in this tab.
  beSignedOut() {
    const { header } = this;
    const isBegun = this.draft && (this.isRefused || this.unsaved(SIGNED_OUT).unsaved);
    const what = header.mode === "read" ? `Case ${header.number}` : `The correction of case ${header.number}`;
    const text = isBegun ? `${what} was not saved: your sign-in has ended. Your answer is kept in this browser tab; if the `
      + "case can be answered again, it comes back here as a draft.\n\n" : "";
    this.stopAsking();
    this.leave();
    clearTimeout(this.timer);
    clearTimeout(this.again);
    [this.pending, this.held, this.queued, this.draft, this.feedback] = [null, null, null, null, null];
    this.images.clear();
    this.viewer.blank();
    const next = encodeURIComponent(window.location.pathname + window.location.search);
    this.cards.show({
      title: "You are signed out", text: `${text}Everything that was saved is safe.`,
      leadsTo: `${header.sign_in_address}?next=${next}`,
    });
    this.hint("");
    this.write();
  }

  // In another tab: this one goes on.
  beSignedIn() {
    this.cards.open = null;
    this.release();
    this.request("images");
    this.write();
  }

  // Said at once: quietly while another server may take over, then in words that stay. Nothing is green meanwhile.
  tellConnection(isLost, isCut) {
    if (isLost !== this.isLost) {
      this.isLost = isLost;
      clearTimeout(this.grace);
      if (!isLost) this.beBack();
      else if (!isCut) {
        const { textContent: text, dataset: { tone } } = this.parts.status;
        this.before = { text, tone };
        this.say(this.pending?.kind === "answer" ? "Not saved yet: connecting again …" : "Connecting again …", "");
        this.grace = setTimeout(() => this.beOffline(), GRACE_MS);
      }
    }
    if (isCut && !this.isOffline) this.beOffline();
  }

  beOffline() {
    clearTimeout(this.grace);
    this.isOffline = true;
    this.before = null;
    if (this.pending) this.beLate(NO_CONNECTION);
    else this.say("No connection to the server. Nothing is saved now; your choices stay here.", "alert");
    if (this.header) this.write();
  }

  beBack() {
    const receipt = this.savedMeanwhile;
    const { before } = this;
    this.isOffline = false;
    this.savedMeanwhile = "";
    this.before = null;
    if (this.asked) this.askFrame(); // it may have been lost
    if (this.pending) this.sendPending();
    else if (receipt) this.say(receipt, "saved");
    else if (before) this.say(before.text, before.tone); // it was a moment
    else this.say("The connection is back.", "");
  }

  // ---- what is written on the panel -------------------------------------------------------------------------------

  // A word about a key or click that did nothing; gone with the next one that does.
  hint(text) {
    this.parts.hint.textContent = text;
    this.parts["sheet-hint"].textContent = text || "A click on a key gives its meaning another one.";
  }

  say(text, tone) {
    const isMeanwhile = this.isLost && tone === "saved";
    if (isMeanwhile) this.savedMeanwhile = text;
    this.parts.status.textContent = text;
    this.parts.status.dataset.tone = isMeanwhile ? "" : tone;
    if (this.header && this.draft) this.fit();
  }

  write() {
    const { header, draft, parts } = this;
    this.root.dataset.state = this.state();
    parts.pause.hidden = !this.isPaused;
    const clock = header.timeout_s ? ", but the time for this case goes on" : " and the reading time stands still";
    parts["pause-text"].textContent = `The image is hidden${clock}. Your choices are kept.`;
    this.writeOver();
    this.cards.write();
    if (!draft || !header) return; // saved, or nothing came yet; the next case is on its way
    const isLocked = this.pending !== null && (!this.held || this.queued !== null);
    const isOpen = ["empty", "chosen", "refused", "correcting", "offline", "ahead"].includes(this.root.dataset.state);
    parts.classes.setAttribute("aria-readonly", String(isLocked));
    parts.confidence.setAttribute("aria-readonly", String(isLocked));
    const isShort = this.isShort && !draft.is_over_time;
    parts.position.textContent = `${header.is_training ? "Training case" : "Case"} ${header.number} of ${header.total}`
      + (isShort ? `: the last ${SHORT_S} s` : "");
    parts.position.classList.toggle("is-short", isShort);
    parts.position.classList.toggle("is-training", header.is_training);
    parts.bar.max = header.count;
    parts.bar.value = header.done;
    parts.question.textContent = header.question;
    parts.notice.hidden = header.mode !== "correct";
    parts.notice.textContent = `Correcting case ${header.number}`;
    parts.position.hidden = header.mode === "correct";
    const isFeedback = this.feedback !== null;
    parts.save.textContent = isFeedback ? "Go on" : header.mode === "correct" ? "Save correction" : "Save and next";
    parts.correct.disabled = !this.mayCorrect() || this.feedback !== null;
    parts.correct.hidden = !header.may_go_back || (header.mode === "correct" && !header.may_go_back_further);
    parts.cancel.hidden = header.mode !== "correct";
    this.root.querySelectorAll("[data-cap]").forEach((cap) => {
      cap.textContent = this.keys.capOfCommand(cap.dataset.cap, header.scale);
      cap.hidden = cap.textContent === "";
    });
    this.viewer.viewers.forEach(({ canvas, image }) => {
      canvas.setAttribute("aria-label", `Image of case ${header.number} of ${header.total}${image?.name ? `, ${image.name}` : ""}`);
    });
    this.form.write(isOpen, this.feedback);
    this.writeModel();
    parts["reset-key"].textContent = header.classes.length < 10 ? "0" : "Home";
    this.writeSheet();
    this.fit();
  }

  // As dense as it must be: each level takes a little away, until all of the form is on the screen, and under it (on a
  // tablet held upright) enough of the image. It only rises until window or study change, so that nothing jumps.
  fit() {
    const { root, header, draft, parts } = this;
    const [desk, stage] = [".desk", ".stage"].map((name) => root.querySelector(name));
    const place = [window.innerWidth, window.innerHeight, header.study, header.arm, header.is_training].join();
    const lines = [parts.hint, parts.status].map((one) => Math.ceil(one.textContent.length / 30));
    const shape = [place, header.mode, draft.is_unreadable, draft.marks.length > 0, header.model !== null, ...lines].join();
    if (shape === this.shape) return;
    this.shape = shape;
    if (place !== this.fitPlace) this.level = 0;
    this.fitPlace = place;
    const isTight = () => desk.scrollHeight > desk.clientHeight + 1 || desk.scrollWidth > desk.clientWidth + 1
      || stage.clientHeight < 0.42 * window.innerHeight;
    const setLevel = () => [1, 2, 3, 4].forEach((one) => root.classList.toggle(`fit-${one}`, one <= this.level));
    setLevel();
    while (this.level < 4 && isTight()) {
      this.level += 1;
      setLevel();
    }
  }

  // What the model says, in the words of the protocol; and the right answer of a training case.
  writeModel() {
    const { header, parts, feedback } = this;
    const label = (key) => header.classes.find((one) => one.key === key)?.label;
    const isRight = feedback !== null && feedback === this.draft.class_key;
    parts.model.hidden = !header.model && header.arm !== "aided" && !header.is_training && feedback === null;
    parts.model.dataset.tone = feedback === null ? "" : isRight ? "saved" : "alert";
    parts["model-text"].textContent = feedback !== null
      ? `${isRight ? "Right" : "Reference standard"}: ${label(feedback)}`
      : header.model ? `${header.model.name}: ${label(header.model.class_key)}`
        : header.arm === "aided" ? `${header.model_name} …` : "The right answer follows yours.";
    const map = this.viewer.mapped?.map;
    parts.map.hidden = !map || feedback !== null;
    if (!map) return;
    parts["map-class"].textContent = header.classes[map.number].label;
    parts["map-key"].setAttribute("aria-checked", String(map.isShown));
    parts.opacity.value = Math.round(100 * map.opacity);
    parts.threshold.value = Math.round(100 * map.threshold);
  }

  // ---- the key sheet, where keys can be given away ----------------------------------------------------------------

  writeSheet() {
    const rows = this.keys.sheet(this.header, this.viewer.viewers.length);
    const { innerWidth, innerHeight } = window;
    const text = JSON.stringify([rows, this.newKeyOf, this.header.instructions, innerWidth, innerHeight]);
    if (text === this.sheetText) return;
    this.sheetText = text;
    this.parts.instructions.textContent = this.header.instructions;
    this.parts.instructions.hidden = !this.header.instructions;
    this.parts.keys.replaceChildren(...rows.map(([caps, meaning, name]) => {
      const [term, description] = ["dt", "dd"].map((tag) => document.createElement(tag));
      const isAsked = name && this.newKeyOf === name;
      const keys = (isAsked ? ["press a key"] : caps.length ? caps : ["–"]).map((cap) => {
        const key = document.createElement("kbd");
        key.textContent = cap;
        return key;
      });
      if (name) {
        const button = document.createElement("button");
        Object.assign(button, { type: "button", className: `own-key${isAsked ? " is-asked" : ""}`, title: "Give it another key" });
        button.dataset.own = name;
        button.setAttribute("aria-label", `${caps[0] || "no key"}: ${meaning}. Give it another key`);
        button.append(...keys);
        term.append(button);
      } else keys.forEach((key) => term.append(key, " "));
      description.textContent = meaning;
      const line = document.createElement("div");
      line.append(term, description);
      return line;
    }));
    const isWide = rows.length > 36;
    this.parts.sheet.classList.toggle("is-wide", isWide);
    this.parts.keys.style.setProperty("--lines", Math.ceil(rows.length / (isWide && innerWidth > 1000 ? 4 : 3)));
    this.fitSheet();
  }

  // Smaller, step by step, until no key is hidden.
  fitSheet() {
    const { sheet } = this.parts;
    sheet.classList.remove("is-compact", "is-small");
    for (const size of ["is-compact", "is-small"]) {
      if (sheet.scrollHeight > sheet.clientHeight) sheet.classList.add(size);
    }
  }

  askForKey(name) {
    this.newKeyOf = this.newKeyOf === name ? null : name;
    this.hint(this.newKeyOf ? "Press the new key. Esc leaves it as it is." : "");
    this.parts.sheet.querySelector("[data-key=Escape]").focus();
    this.write();
  }

  giveKey(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (/^(Shift|Control|Alt|Meta)/.test(event.key)) return;
    if (event.key !== "Escape" && !this.keys.give(this.newKeyOf, event.code, event.key)) {
      return this.hint("This key cannot be given away.");
    }
    this.newKeyOf = null;
    this.hint("");
    this.write();
  }

  // The reader's own keys go to the server, one message at a time; what it does not take goes with the next image again.
  async keepKeys(keys) {
    this.unkeptKeys = this.header.keys_address ? keys : null;
    if (this.isKeeping) return;
    this.isKeeping = true;
    let isKept = true;
    while (isKept && this.unkeptKeys) {
      const sent = this.unkeptKeys;
      const options = { method: "POST", body: JSON.stringify(sent), keepalive: true };
      isKept = await fetch(this.header.keys_address, options).then((answer) => answer.ok, () => false);
      if (isKept && this.unkeptKeys === sent) this.unkeptKeys = null;
    }
    this.isKeeping = false;
    if (!isKept) this.hint("Your keys hold on this page, but are not kept yet: no connection.");
  }

  tellView() {
    const { viewer, parts } = this;
    this.root.querySelector(".stage").classList.toggle("is-unseen", !viewer?.one?.image);
    if (!viewer?.one?.image) return;
    const isColour = viewer.one.image.channels === 3;
    parts.colours.hidden = isColour;
    parts.joined.hidden = viewer.viewers.length < 2;
    parts.joined.lastElementChild.textContent = viewer.isJoined ? "joined" : "apart";
    const { lower, upper, most } = viewer.thresholds();
    const { unit, name } = viewer.one.image;
    const share = (value) => Math.round((100 * value) / most);
    const ends = [lower, upper];
    const [before, shares, after] = parts.view.children;
    before.textContent = (viewer.viewers.length > 1 && !viewer.isJoined && name ? `${name}: ` : "")
      + (isColour ? "as it is" : `${ends.map(Math.round).join("–")} ${unit}`);
    shares.textContent = isColour ? "" : ` (${ends.map(share).join("–")} %)`;
    after.textContent = `  ×${viewer.magnification().toFixed(1)}`;
    parts.table.textContent = viewer.tableName();
    parts.smooth.textContent = viewer.isSmooth ? "smooth" : "pixels";
    parts.most.textContent = String(most);
    for (const [name, value] of [["lower", lower], ["upper", upper]]) {
      Object.assign(parts[name], { min: 0, max: most, step: 1, value: Math.round(value) });
      parts[name].setAttribute("aria-valuetext", `${Math.round(value)} ${unit}`);
    }
    parts.ramp.style.background = viewer.gradient();
  }

  listen() {
    const on = (target, type, handler, options) => {
      target.addEventListener(type, handler, options);
      this.unlisten.push(() => target.removeEventListener(type, handler, options));
    };
    on(window, "keydown", (event) => this.onKey(event), true);
    on(window, "resize", () => this.header && this.write());
    on(this.root, "pointerdown", (event) => {
      this.pressedAt = event.timeStamp;
    }, true);
    on(this.root, "mousedown", (event) => {
      if (event.target.closest("button")) event.preventDefault(); // a click never takes the focus from the keys
    });
    on(this.root, "click", (event) => {
      const own = event.target.closest("button[data-own]");
      if (own) return this.askForKey(own.dataset.own);
      if (event.target.closest("[data-part=own-reset]")) {
        this.keys.giveBack();
        return this.write();
      }
      const button = event.target.closest("button[data-key]");
      if (!button || button.disabled || !this.header) return;
      this.press(button.dataset.key, event.pointerType ? this.pressedAt : event.timeStamp); // it began going down
    });
    for (const end of ["lower", "upper"]) {
      on(this.parts[end], "input", () => {
        if (deedOf(this.state(), "view") === "view") this.viewer.setThreshold(end, Number(this.parts[end].value));
        else this.tellView();
      });
      on(this.parts[end], "pointerup", () => this.parts[end].blur()); // the keys are for the answer again
    }
    on(this.root, "input", (event) => {
      if (!this.draft || !event.target.closest(".desk")) return;
      if (deedOf(this.state(), "comment") === "comment") return this.form.onInput(event.target);
      this.write(); // an extension, or the end of a composition: what is locked stays as it is
    });
    on(this.parts["percent-slider"], "pointerup", () => this.parts["percent-slider"].blur());
    for (const what of ["opacity", "threshold"]) {
      on(this.parts[what], "input", () => this.changeMap(what, Number(this.parts[what].value) / 100));
      on(this.parts[what], "pointerup", () => this.parts[what].blur());
    }
    for (const type of ["pointerdown", "pointermove", "wheel", "keydown"]) {
      on(window, type, () => this.clock.touch(), { capture: true, passive: true });
    }
    for (const type of ["pointerdown", "wheel"]) {
      on(this.parts.frames, type, () => this.clock.touch(true), { passive: true });
    }
    on(document, "visibilitychange", () => {
      this.clock.hide(document.hidden);
      this.remember();
      if (document.hidden) this.tellEvents(); // a page in the background may be ended without a word
    });
    on(window, "pagehide", () => {
      this.clock.hide(true);
      this.remember();
      this.tellEvents();
    });
    on(window, "beforeunload", () => this.tellEvents()); // before a sign-out goes out
  }

  close() {
    [this.timer, this.again, this.askAgain, this.overTime, this.shortTime, this.grace, this.awaited].forEach(clearTimeout);
    const { pending, header } = { ...this, ...this.held };
    this.leave();
    this.isClosed = true;
    if (pending?.kind === "answer" && header.answer_address) {
      const { isLate, ...message } = pending;
      this.sent.tellOutcome({ message, ...header });
    }
    this.unlisten.forEach((undo) => undo());
    this.viewer.close();
    this.images.clear(); // nothing of a case stays in a page that the reader has left
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".room");
  let panel = root.panel;
  if (!panel) {
    panel = new Panel(root);
    root.panel = panel;
    forgetOnPage();
  }
  panel.update(data, setTriggerValue);
  return () => {
    panel.close();
    delete root.panel;
  };
}
