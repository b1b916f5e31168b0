// Keys of the reading panel. Choices go by the place of a key, so that they lie together on every keyboard layout;
// commands go by the letter that is printed on it. The caps on the buttons show what the keyboard in use prints. Each
// reader may give a choice or command another key, which then goes by its place; the server keeps it with the reader.

const STEP_CODES = ["KeyQ", "KeyW", "KeyE", "KeyR", "KeyT", "KeyA", "KeyS", "KeyD", "KeyF", "KeyG"];
const COMMANDS = "UIMNOPXCLVJB";
// What is printed on these keys of an English keyboard, until the one in use says otherwise.
const SIGNS = { BracketLeft: "[", BracketRight: "]", Comma: ",", Period: ".", Equal: "+", Minus: "−" };
// Keys that a reader cannot give away: they mean the same on every screen.
const FIXED = /^(Enter|NumpadEnter|Space|Escape|Tab|Arrow.*|Shift.*|Control.*|Alt.*|Meta.*|Home|F[0-9]+)$/;

// What this tab keeps, or would not give.
function keptInTab(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

// Where the tab keeps nothing (full, or forbidden), what is on the screen stands all the same.
function keepInTab(name, text) {
  try {
    sessionStorage.setItem(name, text);
  } catch { /* a reload would begin it anew */ }
}

class Keys {
  // `onLayout()` is called when the caps have changed, `onOwn(keys)` when the reader changed a key.
  constructor(onLayout, onOwn) {
    this.caps = new Map();
    this.own = new Map(); // name of the panel: code of the key that this reader gave it
    Object.assign(this, { onLayout, onOwn });
    navigator.keyboard?.getLayoutMap?.().then((layout) => {
      layout.forEach((key, code) => this.learn(code, key));
    }, () => undefined);
  }

  // The keys of this reader, as the server kept them; later changes on this page are newer than any frame.
  load(reader, own) {
    if (this.reader === reader) return;
    this.reader = reader;
    this.own = new Map(Object.entries(own));
  }

  // Give a name another key; what had that key loses it, and has its first one again where that is free.
  give(name, code, key) {
    if (!code || FIXED.test(code)) return false; // a keyboard on glass names no keys
    this.learn(code, key);
    [...this.own].filter(([, taken]) => taken === code).forEach(([other]) => this.own.delete(other));
    this.own.set(name, code);
    this.onOwn(Object.fromEntries(this.own));
    return true;
  }

  giveBack() {
    this.own.clear();
    this.onOwn(Object.fromEntries(this.own));
  }

  learn(code, key) {
    const capital = (key || "").toUpperCase();
    const cap = capital.length === 1 ? capital : key || ""; // "ß" has none of one letter
    if (cap.length !== 1 || cap === this.capOf(code) || /^(Digit|Numpad)/.test(code)) return;
    this.caps.set(code, cap);
    this.onLayout();
  }

  // What is printed on a key.
  capOf(code) {
    const sign = this.caps.get(code);
    if (SIGNS[code] && (!sign || sign === { Equal: "=", Minus: "-" }[code])) return SIGNS[code];
    return sign || code.replace(/^(Key|Digit)/, "").replace(/^Numpad/, "Num ");
  }

  // Cap of a class (0 ... 19); classes 11 to 20 are typed with Shift. Empty: it has no key.
  capOfClass(index) {
    const own = this.own.get(`class ${index + 1}`);
    if (own) return this.capOf(own);
    return index >= 20 || this.isTaken(`Digit${(index + 1) % 10}`) ? "" : `${index >= 10 ? "⇧" : ""}${(index + 1) % 10}`;
  }

  capOfStep(index) {
    const own = this.own.get(`step ${index + 1}`);
    if (own) return this.capOf(own);
    const code = STEP_CODES[index];
    return code && !this.isTaken(code) ? this.capOf(code) : "";
  }

  // Empty: the key on which this letter is printed means a choice here, or something of the reader's own.
  capOfCommand(letter, scale) {
    if (this.own.has(letter)) return this.capOf(this.own.get(letter));
    const taken = [...this.own.values(), ...STEP_CODES.filter((_, index) => this.step(index, scale))];
    return taken.some((code) => this.capOf(code) === letter) ? "" : letter;
  }

  // Whether a reader gave this key to something.
  isTaken(code) {
    return [...this.own.values()].includes(code);
  }

  // The panel's name for a key, or null when the key means nothing here.
  name(event, { classes: { length: classes }, scale, has_location_mark: hasMarks }) {
    const { code, key, shiftKey } = event;
    if (/^(Enter|NumpadEnter|Space)$/.test(code) || key === "Enter") return "Enter";
    const isOnPad = /^Numpad[0-9]$/.test(code); // a digit, also where Num Lock is off
    if (/^(Escape|Arrow(Up|Down|Left|Right))$/.test(key) && !isOnPad) return key;
    if (key === "Home" && !isOnPad) return "reset";
    const own = [...this.own].find(([, given]) => given === code)?.[0];
    const isOwn = own && (!shiftKey || own.startsWith("step"));
    const found = isOwn ? this.meant(own, classes, scale) : this.usual(event, classes, scale);
    if (found !== own && this.own.has(found)) return null;
    if (!shiftKey || !found) return found;
    if (found === "B") return "B back";
    if (!/^(step|slide|type)/.test(found)) return found;
    return hasMarks && found !== "type" ? found.replace(/^(step|slide)/, "rate") : null; // of the last mark
  }

  // A name that a reader gave a key, if this study has it.
  meant(name, classes, scale) {
    const [what, number] = name.split(" ");
    if (what === "class") return number <= classes ? name : null;
    if (what === "step") return this.step(Number(number) - 1, scale);
    return name;
  }

  // What the n-th key of the steps does in this scale.
  step(index, { kind, words }) {
    if (kind === "ordinal") return index < words.length ? `step ${index + 1}` : null;
    if (kind !== "percent") return null;
    return index < SLIDES.length ? `slide ${SLIDES[index]}` : index === SLIDES.length ? "type" : null;
  }

  usual({ code, key, shiftKey }, classes, scale) {
    const digit = /^(Digit|Numpad)([0-9])$/.exec(code);
    if (digit && key !== "?") {
      const second = shiftKey && classes > 10 && digit[1] === "Digit" ? 10 : 0;
      const index = (Number(digit[2]) || 10) - 1 + second;
      if (index < classes) return `class ${index + 1}`;
      return digit[2] === "0" ? "reset" : null;
    }
    if (!shiftKey) this.learn(code, key);
    const place = STEP_CODES.indexOf(code);
    const step = place >= 0 ? this.step(place, scale) : null;
    if (step) return step;
    if (key === "?") return "?";
    if (code === "BracketLeft" || code === "BracketRight") {
      return `${shiftKey ? "lower" : "upper"} ${code === "BracketRight" ? "up" : "down"}`;
    }
    if (code === "Comma" || code === "Period") return `${shiftKey ? "threshold" : "opacity"} ${code === "Period" ? "up" : "down"}`;
    if (code === "Backspace" || code === "Delete") return "unmark";
    if (/^(Equal|NumpadAdd)$/.test(code) || key === "+") return "+";
    if (/^(Minus|NumpadSubtract)$/.test(code) || key === "-") return "-";
    const letter = /^[a-z]$/i.test(key) ? key.toUpperCase() : /^\p{L}$/u.test(key) ? code.replace(/^Key/, "") : "";
    return letter.length === 1 && COMMANDS.includes(letter) ? letter : null;
  }

  // Every key and what it does in this study: [caps, meaning, name that may get another key].
  sheet(header, nViews) {
    const { classes: { length: classes }, scale, model } = header;
    const choices = (count, capOf, what, how) => Array.from({ length: count }, (_, index) => (
      [[capOf.call(this, index)].filter(Boolean), how(index), `${what} ${index + 1}`]));
    const caps = (shift, ...codes) => codes.map((code) => `${shift}${this.capOf(code)}`);
    const own = (letter, meaning) => [[this.capOfCommand(letter, scale)].filter(Boolean), meaning, letter];
    return [
      ...choices(classes, this.capOfClass, "class", (index) => header.classes[index].label),
      ...(scale.kind === "ordinal" ? choices(scale.words.length, this.capOfStep, "step", (index) => scale.words[index]) : []),
      ...(scale.kind === "percent" ? choices(5, this.capOfStep, "step", (index) => `confidence ${SLIDES[index] ?? "as a number"}`) : []),
      ...(scale.kind === "probabilities" ? [[["="], "the rest to 100 %"]] : []),
      [["Enter", "Space"], "save and go on"],
      ...(header.may_go_back ? [own("U", "correct the answer before")] : []),
      [["Esc"], "leave correction, field, pause, sheet"],
      ...(header.may_mark_unreadable ? [own("X", "image unreadable")] : []),
      ...(header.may_comment ? [own("C", "write a comment")] : []),
      own("P", "pause"),
      ...(header.has_location_mark ? [own("L", "mark under the pointer; click does too"), [["⌫"], "last mark away"]] : []),
      ...(header.has_location_mark && /ordinal|percent/.test(scale.kind) ? [[["⇧", this.capOfStep(0), "…"], "rate the last mark"]] : []),
      ...(model?.has_map ? [own("V", "class map on, off"), own("B", "map of the next class; ⇧ the one before"),
        [caps("", "Comma", "Period"), "its opacity"], [caps("⇧", "Comma", "Period"), "its threshold"]] : []),
      ...(nViews > 1 ? [own("J", "views joined or apart")] : []),
      [caps("", "BracketLeft", "BracketRight"), "upper threshold down, up"],
      [caps("⇧", "BracketLeft", "BracketRight"), "lower threshold down, up"],
      [["right drag"], "window and level"],
      [["drag", "arrows"], "move the image"], [["wheel", ...caps("", "Equal", "Minus")], "zoom"],
      own("O", "one pixel on one pixel"), [[classes < 10 ? "0" : "Home", "double click"], "view as at first"],
      own("I", "light for dark"), own("M", "next colour table"), own("N", "pixels or smooth"),
      [["?"], "show or hide this sheet"],
    ];
  }
}
