// The answer form: class, scale, "unreadable" with its reason, comment and marks, as the protocol asks for them.
//
// Everything that is chosen stands in the draft; the form writes the draft on the screen and says what is missing.

const SLIDES = ["-10", "-1", "+1", "+10"]; // of the percent scale, on the first keys of the steps

// What a case begins with.
function emptyDraft() {
  return {
    class_key: null, confidence: null, probabilities: null, comment: "", is_unreadable: false, unreadable_reason: "",
    marks: [], is_typed_ahead: false, is_over_time: false, over_message: null, seconds: 0, dropped: 0, events: [],
    draft_id: newSubmitId(), n_told: 0,
  };
}

class Form {
  // `panel` has root, parts, keys, header and draft; `onField()` follows a change of a field.
  constructor(panel, onField) {
    this.panel = panel;
    this.parts = panel.parts;
    this.onField = onField;
    this.lastShare = 0; // the class whose probability was touched last
  }

  get draft() {
    return this.panel.draft;
  }

  get header() {
    return this.panel.header;
  }

  get kind() {
    return this.header.scale.kind;
  }

  // ---- choosing -------------------------------------------------------------------------------------------------

  // One key or click of the kind "choose".
  choose(what, value) {
    const { draft } = this;
    if (what === "X") return this.toggleUnreadable();
    if (draft.is_unreadable) return "Marked as unreadable: nothing else is to be chosen. X takes it back.";
    if (what === "class" && this.kind === "probabilities") return this.focusShare(value - 1);
    if (what === "class") draft.class_key = this.header.classes[value - 1].key;
    else if (what === "step") draft.confidence = Number(value);
    else if (what === "slide") this.setPercent((draft.confidence ?? 50) + Number(value));
    else if (what === "type") this.focus(this.parts["percent-value"]);
    else if (what === "rate") return this.rateMark(value);
    else if (what === "unmark") draft.marks = draft.marks.slice(0, -1);
    return "";
  }

  toggleUnreadable() {
    const { draft } = this;
    if (!this.header.may_mark_unreadable) return "In this study every image is answered.";
    draft.is_unreadable = !draft.is_unreadable;
    if (draft.is_unreadable) Object.assign(draft, { class_key: null, confidence: null, probabilities: null, marks: [] });
    this.isReasonWanted = draft.is_unreadable;
    return "";
  }

  setPercent(value) {
    this.draft.confidence = Math.min(Math.max(Math.round(value), 0), 100);
  }

  // Probabilities are kept in whole percent, null where nothing was given yet.
  setShare(index, text) {
    const { draft } = this;
    draft.probabilities = draft.probabilities || this.header.classes.map(() => null);
    draft.probabilities[index] = text === "" ? null : Math.min(Math.max(Math.round(Number(text)) || 0, 0), 100);
    this.lastShare = index;
    const best = Math.max(...draft.probabilities.map((share) => share ?? -1));
    draft.class_key = best > 0 ? this.header.classes[draft.probabilities.indexOf(best)].key : null;
  }

  sum() {
    return (this.draft.probabilities || []).reduce((sum, share) => sum + (share || 0), 0);
  }

  // What is left to 100 goes to one class.
  giveRest(index = this.lastShare) {
    const own = this.draft.probabilities?.[index] || 0;
    this.setShare(index, Math.max(0, 100 - this.sum() + own));
  }

  focusShare(index) {
    this.lastShare = index;
    this.focus(this.parts.classes.children[index].querySelector("input"));
    return "";
  }

  focus(field) {
    field.focus();
    field.select();
  }

  // A click on the image, or a key: a mark there, or the one that is there already goes.
  place(view, x, y, reach) {
    const { draft } = this;
    const near = draft.marks.findIndex((mark) => mark.view === view && Math.hypot(mark.x - x, mark.y - y) < reach);
    if (near >= 0) draft.marks = draft.marks.filter((_, index) => index !== near);
    else draft.marks = [...draft.marks, { view, x: Math.round(10 * x) / 10, y: Math.round(10 * y) / 10, rating: null }];
  }

  // Of the last mark: a step of an ordinal scale, or so much more or less ("+10"). Up from none begins at the first step,
  // or at 50 %; down from the first step is none again, and then the confidence of the answer counts.
  rateMark(value) {
    const { marks } = this.draft;
    if (!marks.length) return "Place a mark first: click on the image, or L.";
    const { rating } = marks[marks.length - 1];
    const isPercent = this.kind === "percent";
    const most = isPercent ? 100 : this.header.scale.words.length;
    const by = /^[+-]/.test(value) ? Number(value) : Number(value) - (rating ?? 0);
    const wanted = (rating ?? (isPercent ? 50 : 0)) + by;
    const given = isPercent ? Math.min(Math.max(wanted, 0), most) : wanted < 1 ? null : Math.min(wanted, most);
    this.draft.marks = [...marks.slice(0, -1), { ...marks[marks.length - 1], rating: given }];
    return "";
  }

  // ---- what is missing, and what is sent --------------------------------------------------------------------------

  // Why the answer cannot be saved yet; empty: it can.
  missing() {
    const { draft, header, panel: { keys } } = this;
    const { classes, scale } = header;
    const range = (count, cap) => `${cap.call(keys, 0)} to ${cap.call(keys, count - 1)}`;
    if (draft.is_unreadable) return draft.unreadable_reason.trim() ? "" : "Say why the image cannot be read.";
    if (scale.kind === "probabilities") {
      const left = 100 - this.sum();
      const shares = draft.probabilities || [];
      const isTied = shares.filter((share) => share === Math.max(...shares)).length > 1;
      if (left === 0 && isTied) return "Two classes have the highest probability. Give one of them more.";
      if (left === 0 && draft.class_key) return "";
      return `The probabilities sum to ${this.sum()} %, not to 100 %. “=” gives the rest to the class touched last.`;
    }
    if (draft.class_key === null) return `Choose a diagnosis first: ${range(classes.length, keys.capOfClass)}.`;
    if (scale.kind === "ordinal" && draft.confidence === null) {
      return `Choose a confidence first: ${range(scale.words.length, keys.capOfStep)}.`;
    }
    if (scale.kind === "percent" && draft.confidence === null) {
      return `Choose a confidence first: ${range(4, keys.capOfStep)}, or ${keys.capOfStep(4)} and a number.`;
    }
    return "";
  }

  // The answer as the server takes it.
  answer() {
    const { draft } = this;
    const shares = draft.probabilities && !draft.is_unreadable;
    return {
      class_key: draft.class_key,
      confidence: draft.confidence,
      probabilities: shares ? draft.probabilities.map((share) => (share || 0) / 100) : null,
      comment: draft.comment.trim(),
      is_unreadable: draft.is_unreadable,
      unreadable_reason: draft.is_unreadable ? draft.unreadable_reason.trim() : "",
      marks: draft.marks,
      is_typed_ahead: draft.is_typed_ahead,
    };
  }

  hasAnything() {
    const { draft } = this;
    return Boolean(draft.class_key || draft.confidence !== null || draft.comment || draft.is_unreadable
      || draft.probabilities || draft.marks.length);
  }

  // ---- fields ---------------------------------------------------------------------------------------------------

  // A key in a field of the form; the panel's keys stay silent. Returns the panel's name for it, or null.
  onFieldKey(event) {
    const field = event.composedPath()[0];
    const isNumber = field.inputMode === "numeric";
    if (event.key === "Escape") field.blur();
    else if (event.key === "Enter" && (isNumber || field === this.parts.reason)) {
      event.preventDefault();
      field.blur();
      return "Enter";
    } else if (field.readOnly && event.key.length === 1) return "C"; // says why not
    else if (isNumber && !field.readOnly && /^Arrow(Up|Down)$/.test(event.key)) {
      event.preventDefault();
      const step = (event.key === "ArrowUp" ? 1 : -1) * (event.shiftKey ? 10 : 1);
      this.onNumber(field, String(Math.min(Math.max(Number(field.value) + step, 0), 100)));
    } else if (isNumber && event.key.length === 1 && !/[0-9]/.test(event.key)) {
      event.preventDefault();
      if (event.key === "=" && this.kind === "probabilities" && !field.readOnly) {
        this.giveRest(Number(field.dataset.index));
        this.onField();
      }
    }
    return null;
  }

  onNumber(field, text) {
    const digits = /[0-9]+/.exec(text)?.[0] ?? ""; // of "12.5", pasted, 12 and not 125
    if (field === this.parts["percent-value"]) {
      if (digits === "") this.draft.confidence = null;
      else this.setPercent(Number(digits));
    } else this.setShare(Number(field.dataset.index), digits);
    this.onField();
  }

  onInput(field) {
    const { comment, reason } = this.parts;
    if (field === comment || field === reason) { // what no store takes is not taken here
      const text = field.value.replace(/\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "");
      if (text !== field.value) field.value = text;
      this.draft[field === comment ? "comment" : "unreadable_reason"] = text;
    }
    else if (field === this.parts["percent-slider"]) this.setPercent(Number(field.value));
    else if (field.inputMode === "numeric") return this.onNumber(field, field.value);
    else return;
    this.onField();
  }

  // ---- writing --------------------------------------------------------------------------------------------------

  // `isOpen`: the answer may be changed now. `feedback`: key of the right class of a training case, after the answer.
  write(isOpen, feedback) {
    const { header, draft, parts, panel: { keys } } = this;
    const { scale, classes, model } = header;
    const names = model?.probabilities || classes.map(() => null);
    if (scale.kind === "probabilities") this.writeShares(isOpen);
    else {
      this.writeChoices(parts.classes, classes.map(({ key, label }, index) => ({
        name: `class ${index + 1}`, cap: keys.capOfClass(index), label, isChosen: draft.class_key === key,
        note: feedback === key ? "✓" : names[index] === null ? "" : `${Math.round(100 * names[index])} %`,
        isRight: feedback === key,
      })));
    }
    const isOrdinal = scale.kind === "ordinal";
    parts.confidence.hidden = !isOrdinal || draft.is_unreadable;
    parts.percent.hidden = scale.kind !== "percent" || draft.is_unreadable;
    parts.shares.hidden = scale.kind !== "probabilities" || draft.is_unreadable;
    const isNone = draft.is_over_time && draft.unreadable_reason === header.no_answer_in_time; // nobody called it unreadable
    parts["reason-box"].hidden = !draft.is_unreadable || isNone;
    parts.legend.hidden = draft.is_unreadable || scale.kind === "label" || scale.kind === "probabilities";
    parts.classes.classList.toggle("is-off", draft.is_unreadable);
    if (isOrdinal) {
      this.writeChoices(parts.confidence, scale.words.map((label, index) => ({
        name: `step ${index + 1}`, cap: keys.capOfStep(index), label, isChosen: draft.confidence === index + 1, note: "",
      })));
    }
    if (scale.kind === "percent") this.writePercent(isOpen);
    if (scale.kind === "probabilities") {
      const left = 100 - this.sum();
      parts.sum.textContent = left === 0 ? "Sum 100 %" : `Sum ${this.sum()} %, ${left > 0 ? `${left} % left` : `${-left} % too much`}`;
      parts.sum.dataset.tone = left === 0 ? "saved" : "alert";
    }
    parts.flag.hidden = !header.may_mark_unreadable;
    parts.flag.setAttribute("aria-checked", String(draft.is_unreadable && !isNone));
    parts["comment-box"].hidden = !header.may_comment;
    parts.comment.readOnly = parts.reason.readOnly = !isOpen;
    if (parts.reason.value !== draft.unreadable_reason) parts.reason.value = draft.unreadable_reason;
    if (parts.comment.value !== draft.comment) parts.comment.value = draft.comment;
    if (this.isReasonWanted && isOpen) this.focus(parts.reason);
    this.isReasonWanted = false;
    parts.marks.hidden = !header.has_location_mark;
    parts.marks.firstElementChild.textContent = this.marksText();
    parts.marks.lastElementChild.disabled = !draft.marks.length;
    const by = scale.kind === "percent" ? 10 : 1;
    const isRated = draft.marks.length > 0 && (isOrdinal || scale.kind === "percent");
    parts["rate-down"].dataset.key = `rate -${by}`;
    parts["rate-up"].dataset.key = `rate +${by}`;
    for (const way of ["rate-down", "rate-up"]) parts[way].hidden = !isRated;
    this.layOut();
  }

  layOut() {
    const { header, parts } = this;
    const count = header.classes.length;
    const steps = header.scale.words.length;
    this.panel.root.querySelector(".desk").classList.toggle("is-dense", count > 8);
    parts.classes.classList.toggle("has-shares", this.kind === "probabilities");
    parts.classes.style.setProperty("--word", this.longestWord(header.classes.map(({ label }) => label)));
    if (count > 5) parts.classes.style.setProperty("--columns", count > 12 ? 3 : 2);
    else parts.classes.style.removeProperty("--columns");
    parts.classes.style.setProperty("--fit-columns", count > 12 ? 4 : count > 8 ? 3 : count > 3 ? 2 : 1);
    parts.confidence.style.setProperty("--columns", steps > 6 ? Math.ceil(steps / 2) : steps);
  }

  // Length of the longest word of some labels, in em of the font that the buttons have.
  longestWord(labels) {
    const text = labels.join("\n");
    if (text === this.measured?.text) return this.measured.length;
    const context = document.createElement("canvas").getContext("2d");
    context.font = `100px ${getComputedStyle(this.parts.classes).fontFamily}`;
    const length = Math.max(...text.split(/[\s\u2010-\u2014/-]+/).map((word) => context.measureText(word).width / 100));
    this.measured = { text, length };
    return length;
  }

  marksText() {
    const { marks } = this.draft;
    if (!marks.length) return "No mark: click on the image, or L under the pointer";
    const count = `${marks.length} ${marks.length === 1 ? "mark" : "marks"}`;
    if (!/ordinal|percent/.test(this.kind)) return count; // such a scale has no rating, so a mark has none
    return `${count}, the last: ${this.ratingText(marks[marks.length - 1]) || "rated as the answer"}`;
  }

  ratingText({ rating }) {
    if (rating === null) return "";
    return this.kind === "percent" ? `${rating} %` : this.header.scale.words[rating - 1] ?? String(rating);
  }

  // Marks of one view, with their texts on the image.
  marksOf(view) {
    return this.draft.marks.map((mark, index) => ({ ...mark, text: `${index + 1} ${this.ratingText(mark)}`.trim() }))
      .filter((mark) => mark.view === view);
  }

  writeChoices(box, choices) {
    if (box.childElementCount !== choices.length || box.firstElementChild.tagName !== "BUTTON") {
      box.setAttribute("role", "radiogroup");
      box.replaceChildren(...choices.map(() => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("role", "radio");
        button.append(...["kbd", "span", "small"].map((tag) => document.createElement(tag)));
        button.children[1].dir = "auto";
        button.lastChild.className = "note";
        return button;
      }));
    }
    const focusable = Math.max(choices.findIndex((choice) => choice.isChosen), 0); // one stop of Tab for a group
    choices.forEach(({ name, cap, label, isChosen, note, isRight }, index) => {
      const button = box.children[index];
      button.dataset.key = name;
      button.tabIndex = index === focusable ? 0 : -1;
      button.setAttribute("aria-checked", String(isChosen));
      if (cap) button.setAttribute("aria-keyshortcuts", cap.replace("⇧", "Shift+"));
      button.classList.toggle("is-right", Boolean(isRight));
      const [key, text, more] = button.children;
      key.hidden = cap === "";
      key.textContent = cap;
      text.textContent = label;
      more.hidden = note === "";
      more.textContent = note;
    });
  }

  // One number per class.
  writeShares(isOpen) {
    const { header, draft, parts, panel: { keys } } = this;
    const box = parts.classes;
    if (box.childElementCount !== header.classes.length || box.firstElementChild.tagName !== "LABEL") {
      box.setAttribute("role", "group"); // of fields
      box.replaceChildren(...header.classes.map(({ label }, index) => {
        const line = document.createElement("label");
        const [key, text, more, field] = ["kbd", "span", "small", "input"].map((tag) => document.createElement(tag));
        more.className = "note";
        text.textContent = label;
        text.dir = "auto";
        Object.assign(field, { inputMode: "numeric", maxLength: 3, autocomplete: "off" });
        field.dataset.index = index;
        field.setAttribute("aria-label", `Probability of ${label}, percent`);
        line.append(key, text, more, field, "%");
        return line;
      }));
    }
    [...box.children].forEach((line, index) => {
      const [key, , more, field] = line.children;
      const shares = header.model?.probabilities;
      key.textContent = keys.capOfClass(index);
      key.hidden = key.textContent === "";
      more.hidden = !shares;
      const called = header.model?.name ?? "";
      const name = header.classes.length > 5 || called.length > 12 ? "" : `${called}: `; // it stands above them
      more.textContent = shares ? `${name}${Math.round(100 * shares[index])} %` : "";
      more.title = shares ? header.model.name : "";
      const value = draft.probabilities?.[index] ?? "";
      if (field.value !== String(value)) field.value = value;
      field.readOnly = !isOpen || draft.is_unreadable;
    });
  }

  writePercent(isOpen) {
    const { draft, parts, panel: { keys } } = this;
    const value = draft.confidence;
    const [slider, field] = [parts["percent-slider"], parts["percent-value"]];
    slider.value = value ?? 50;
    slider.disabled = !isOpen;
    slider.classList.toggle("is-empty", value === null);
    slider.setAttribute("aria-valuetext", value === null ? "not chosen" : `${value} percent`);
    if (field.value !== String(value ?? "")) field.value = value ?? "";
    field.readOnly = !isOpen;
    [...parts.slides.children].forEach((button, index) => {
      button.firstChild.textContent = keys.capOfStep(index);
    });
  }
}
