// The reading panel: keys, draft, clock and the conversation with the server. The viewer stands in viewer.js.
//
// Every run of the script hands over one byte string: the length of a JSON header (uint32, little endian), the
// header, and the pixels. Every answer goes back as one trigger with its own submit_id, and stays "not saved" until a
// receipt with the same submit_id comes back; sending it twice is harmless, for the store keeps one reading per id.

const CONFIDENCE_KEYS = "QWERTASDFG";
const PATIENCE_MS = 4000;
const STORAGE_PREFIX = "reading-room:";
const SHEET = [
  ["1 – 9", "choose the diagnosis"], ["Q W E R T", "choose the confidence"], ["Enter or Space", "save and go on"],
  ["U", "correct the last saved answer"], ["Esc", "leave a correction, the comment or this sheet"],
  ["X", "flag the image as unreadable"], ["C", "write a comment"], ["P", "pause"],
  ["drag", "move the image"], ["right drag or Shift drag", "window (left–right) and level (up–down)"],
  ["wheel, + and –", "zoom"], ["arrow keys", "move the image"], ["[ and ]", "narrow and widen the window"],
  ["I", "invert light and dark"], ["M", "next colour table"], ["0 or double click", "reset the view"],
  ["?", "show or hide this sheet"],
];

function unpack(bytes) {
  const head = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + head)));
  const body = bytes.slice(4 + head); // a copy of its own, so that 16-bit pixels are aligned
  return { header, pixels: header.bits === 16 ? new Uint16Array(body.buffer) : body };
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
    this.queue = []; // keys typed while an answer is on its way; they belong to the next case
    this.pending = null; // what was sent and is not yet acknowledged
    this.header = null;
    this.isReady = false; // the image of this case is on the screen
    this.isPaused = false;
    this.draft = null;
    this.shownAt = null;
    this.viewer = new Viewer(root.querySelector("canvas"), this.parts["read-out"], () => this.tellView());
    this.unlisten = [];
    this.listen();
    this.writeSheet();
  }

  // ---- what the server says -------------------------------------------------------------------------------------

  update(bytes, send) {
    this.send = send;
    const { header, pixels } = unpack(bytes);
    if (this.pending) {
      const receipt = header.receipt;
      if (!receipt || receipt.submit_id !== this.pending.submit_id) {
        this.sendAgainSoon();
        return;
      }
      this.settle(receipt);
      if (this.pending) {
        return;
      }
    }
    const isSame = this.draft && this.header.draft_key === header.draft_key;
    this.header = header;
    if (!isSame) {
      this.show(pixels);
    }
    this.write();
  }

  // A receipt has come for what was sent.
  settle(receipt) {
    clearTimeout(this.timer);
    if (receipt.state === "try-again") {
      this.pending.isLate = true;
      this.say(`Not saved yet: ${receipt.message} Press Enter to try again.`, "alert");
      return;
    }
    if (receipt.state === "saved") {
      this.forget();
    } else if (receipt.state === "refused") {
      this.queue = []; // typed for a case that does not come
    }
    const isFirst = this.pending.kind === "answer" && this.header.mode === "read";
    this.pending = null;
    this.startClock();
    const text = receipt.state === "saved" && isFirst ? `Case ${this.header.position} saved.` : receipt.message;
    this.say(text, { saved: "saved", refused: "alert" }[receipt.state] || "");
  }

  show(pixels) {
    const { header } = this;
    this.draft = this.recall(header.draft_key) || {
      class_key: null, confidence: null, comment: "", is_unreadable: false, seconds: 0, typed_ahead: 0,
      ...(header.previous || {}),
    };
    this.isReady = false;
    this.isPaused = false;
    this.viewer.show(pixels, header.width, header.height, header.unit, header.view);
    this.parts.comment.value = this.draft.comment;
    if (document.activeElement && /^(A|BUTTON)$/.test(document.activeElement.tagName)) {
      document.activeElement.blur(); // the link that led here must not swallow Enter
    }
    const isPainted = () => {
      if (!this.isReady && this.header === header) {
        this.isReady = true;
        this.shownAt = performance.now();
        this.drain();
      }
    };
    requestAnimationFrame(() => requestAnimationFrame(isPainted));
    setTimeout(isPainted, 300); // a hidden tab paints no frames
  }

  // ---- the clock ------------------------------------------------------------------------------------------------

  // Seconds that this image was in sight: neither hidden tab nor pause counts.
  seconds() {
    const isRunning = this.isReady && !this.isPaused && !document.hidden && this.shownAt !== null;
    return this.draft.seconds + (isRunning ? (performance.now() - this.shownAt) / 1000 : 0);
  }

  stopClock() {
    if (this.draft && this.isReady) {
      this.draft.seconds = this.seconds();
      this.shownAt = null;
      this.remember();
    }
  }

  startClock() {
    if (this.isReady && !this.isPaused && !document.hidden && this.shownAt === null) {
      this.shownAt = performance.now();
    }
  }

  // ---- the draft, kept in this tab until it is saved --------------------------------------------------------------

  remember() {
    if (this.draft) {
      const kept = { ...this.draft, seconds: this.seconds() };
      sessionStorage.setItem(STORAGE_PREFIX + this.header.draft_key, JSON.stringify(kept));
    }
  }

  recall(key) {
    const kept = sessionStorage.getItem(STORAGE_PREFIX + key);
    return kept ? JSON.parse(kept) : null;
  }

  forget() {
    sessionStorage.removeItem(STORAGE_PREFIX + this.header.draft_key);
    this.draft = null;
  }

  // ---- keys -----------------------------------------------------------------------------------------------------

  // The panel's name for a key, or null when the key means nothing here.
  keyName(event) {
    const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
    if (key === "?") return "?";
    if (/^(Digit|Numpad)[0-9]$/.test(event.code) && !event.shiftKey) return event.code.slice(-1);
    if (key === " ") return "Enter";
    if (key === "=" || key === "+") return "+";
    if (/^([0-9]|Enter|Escape|Arrow(Up|Down|Left|Right)|-|\[|\])$/.test(key)) return key;
    if (key.length === 1 && "UIMXCP".includes(key)) return key;
    const step = key.length === 1 ? CONFIDENCE_KEYS.indexOf(key) : -1;
    return this.header && step >= 0 && step < this.header.confidence.length ? key : null;
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !this.header) return;
    const target = event.composedPath()[0];
    const isInside = this.root.contains(target);
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName || "") || target.isContentEditable) {
      if (isInside && event.key === "Escape") target.blur();
      if (isInside) event.stopImmediatePropagation(); // no shortcut of the page fires while a comment is written
      return;
    }
    const isFocused = /^(A|BUTTON)$/.test(target.tagName || "");
    if (isFocused && (event.key === " " || (!isInside && event.key === "Enter"))) return; // reached by Tab: theirs
    const name = this.keyName(event);
    if (name === null) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const isMoving = name === "+" || name === "-" || name === "[" || name === "]" || name.startsWith("Arrow");
    if (event.repeat && !isMoving) return; // a key held down is one key
    this.press(name);
  }

  press(name) {
    if (this.pending && this.pending.isLate && name === "Enter") {
      this.sendPending();
    } else if (this.pending || !this.isReady) {
      this.queue.push(name);
    } else {
      this.act(name, false);
    }
  }

  drain() {
    while (this.queue.length && this.isReady && !this.pending) {
      this.act(this.queue.shift(), true);
    }
  }

  act(name, isAhead) {
    if (name === "?" || (name === "Escape" && !this.parts.sheet.hidden)) {
      this.parts.sheet.hidden = name === "?" ? !this.parts.sheet.hidden : true;
      return;
    }
    if (name === "P") return this.pause();
    if (this.isPaused) return;
    const step = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[name];
    if (step) return this.viewer.pan(step[0] * 40, step[1] * 40);
    if (name === "0") return this.viewer.reset();
    if (name === "I") return this.viewer.invert();
    if (name === "M") return this.viewer.nextTable();
    if (name === "+" || name === "-") return this.viewer.zoomAt(name === "+" ? 1.25 : 0.8);
    if (name === "[" || name === "]") {
      return this.viewer.changeWindow(0, (name === "]" ? 0.05 : -0.05) * this.header.view.width);
    }
    if (name === "Escape") return this.header.mode === "correct" ? this.ask("cancel") : undefined;
    if (name === "U" && this.header.mode === "correct") return;
    if (name === "U") return this.header.can_correct ? this.ask("correct") : this.say("There is no saved answer to correct.", "");
    if (name === "C") return this.parts.comment.focus();
    if (name === "Enter") return this.save();
    this.choose(name, isAhead);
  }

  choose(name, isAhead) {
    const step = CONFIDENCE_KEYS.indexOf(name);
    if (name === "X") {
      this.draft.is_unreadable = !this.draft.is_unreadable;
    } else if (/^[1-9]$/.test(name)) {
      const chosen = this.header.classes[Number(name) - 1];
      if (!chosen) return;
      this.draft.class_key = chosen.key;
    } else if (step >= 0) {
      this.draft.confidence = step + 1;
    }
    this.draft.typed_ahead += isAhead ? 1 : 0;
    this.remember();
    if (this.parts.status.dataset.tone === "alert") this.say("", ""); // what was asked for is being done
    this.write();
  }

  pause() {
    if (this.isPaused) {
      this.isPaused = false;
      this.startClock();
    } else {
      this.stopClock();
      this.isPaused = true;
    }
    this.write();
  }

  // ---- sending --------------------------------------------------------------------------------------------------

  save() {
    const { header, draft } = this;
    if (draft.class_key === null) return this.say(`Choose a diagnosis first: 1 to ${header.classes.length}.`, "alert");
    if (draft.confidence === null) return this.say("Choose a confidence first: Q, W, E, R or T.", "alert");
    this.stopClock();
    this.pending = {
      kind: "answer",
      submit_id: newSubmitId(),
      presentation_id: header.presentation_id,
      expected_revision: header.revision,
      class_key: draft.class_key,
      confidence: draft.confidence,
      comment: this.parts.comment.value.trim(),
      is_unreadable: draft.is_unreadable,
      reading_seconds: Math.round(draft.seconds * 1000) / 1000,
      display_state: { ...this.viewer.state(), keys_before_image: draft.typed_ahead },
    };
    this.sendPending();
  }

  ask(kind) {
    this.stopClock();
    this.pending = { kind, submit_id: newSubmitId(), presentation_id: this.header.presentation_id };
    this.sendPending();
  }

  sendPending() {
    clearTimeout(this.timer);
    const { isLate, ...message } = this.pending;
    this.pending.isLate = false;
    this.say(isLate ? "Trying again …" : message.kind === "answer" ? "Saving …" : "", "");
    this.timer = setTimeout(() => this.beLate(), PATIENCE_MS);
    this.sentAt = performance.now();
    this.send("sent", message);
  }

  // No receipt in time: say so, and go on trying without being asked; a server that comes back does not call by itself.
  beLate() {
    this.pending.isLate = true;
    this.say(this.pending.kind === "answer" ? "Not saved yet. Press Enter to try again."
      : "No answer from the server yet. Press Enter to try again.", "alert");
    const { isLate, ...message } = this.pending;
    this.timer = setTimeout(() => {
      this.sentAt = performance.now();
      this.send("sent", message);
      this.beLate();
    }, PATIENCE_MS);
  }

  // The page was drawn anew without a receipt, as after a restart of the server: the message may have been lost.
  sendAgainSoon() {
    const { submit_id: submitId } = this.pending;
    clearTimeout(this.again);
    this.again = setTimeout(() => {
      if (this.pending && this.pending.submit_id === submitId && performance.now() - this.sentAt > 900) {
        this.sendPending();
      }
    }, 1000);
  }

  // ---- what is written on the panel -------------------------------------------------------------------------------

  say(text, tone) {
    this.parts.status.textContent = text;
    this.parts.status.dataset.tone = tone;
  }

  write() {
    const { header, draft, parts } = this;
    parts.position.textContent = `Case ${header.position} of ${header.count}`;
    parts.bar.max = header.count;
    parts.bar.value = header.done;
    parts.question.textContent = header.question;
    parts.notice.hidden = header.mode !== "correct";
    parts.notice.textContent = `Correcting case ${header.position}. Enter saves the correction, Esc leaves it as it was.`;
    parts.save.textContent = header.mode === "correct" ? "Save correction" : "Save and next";
    parts.correct.disabled = !header.can_correct;
    parts.correct.hidden = header.mode === "correct";
    parts.cancel.hidden = header.mode !== "correct";
    parts.pause.hidden = !this.isPaused;
    parts.flag.setAttribute("aria-checked", String(draft.is_unreadable));
    this.root.querySelector("canvas").setAttribute("aria-label", `Image of case ${header.position} of ${header.count}`);
    this.writeChoices(parts.classes, header.classes.map((one, index) => ({
      key: String(index + 1), label: one.label, isChosen: draft.class_key === one.key,
    })));
    this.writeChoices(parts.confidence, header.confidence.map((label, index) => ({
      key: CONFIDENCE_KEYS[index], label, isChosen: draft.confidence === index + 1,
    })));
  }

  writeChoices(box, choices) {
    if (box.childElementCount !== choices.length) {
      box.replaceChildren(...choices.map(() => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("role", "radio");
        button.append(document.createElement("kbd"), document.createElement("span"));
        return button;
      }));
    }
    choices.forEach(({ key, label, isChosen }, index) => {
      const button = box.children[index];
      button.dataset.key = key;
      button.setAttribute("aria-checked", String(isChosen));
      button.setAttribute("aria-keyshortcuts", key);
      button.firstChild.textContent = key;
      button.lastChild.textContent = label;
    });
  }

  writeSheet() {
    const list = document.createElement("dl");
    SHEET.forEach(([key, meaning]) => {
      const [term, description, cap] = ["dt", "dd", "kbd"].map((tag) => document.createElement(tag));
      cap.textContent = key;
      term.append(cap);
      description.textContent = meaning;
      list.append(term, description);
    });
    this.parts.sheet.append(list);
  }

  tellView() {
    if (this.viewer && this.viewer.image) {
      const { window_centre: centre, window_width: width, zoom, colour_table: table, is_inverted: isInverted } =
        this.viewer.state();
      this.parts.view.textContent =
        `W ${Math.round(width)}  L ${Math.round(centre)}  ×${zoom.toFixed(1)}  ${table}${isInverted ? ", inverted" : ""}`;
    }
  }

  listen() {
    const on = (target, type, handler, options) => {
      target.addEventListener(type, handler, options);
      this.unlisten.push(() => target.removeEventListener(type, handler, options));
    };
    on(window, "keydown", (event) => this.onKey(event), true);
    on(this.root, "mousedown", (event) => {
      if (event.target.closest("button")) event.preventDefault(); // a click never takes the focus from the keys
    });
    on(this.root, "click", (event) => {
      const button = event.target.closest("button[data-key]");
      if (button && !button.disabled && this.header) this.press(button.dataset.key);
    });
    on(this.parts.comment, "input", () => {
      this.draft.comment = this.parts.comment.value;
      this.remember();
    });
    on(document, "visibilitychange", () => (document.hidden ? this.stopClock() : this.startClock()));
    on(window, "pagehide", () => this.stopClock());
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.again);
    this.stopClock();
    this.unlisten.forEach((undo) => undo());
    this.viewer.close();
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".room");
  let panel = root.panel;
  if (!panel) {
    panel = new Panel(root);
    root.panel = panel;
  }
  panel.update(data, setTriggerValue);
  return () => {
    panel.close();
    delete root.panel;
  };
}
