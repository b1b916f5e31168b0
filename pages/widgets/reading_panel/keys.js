// Keys of the reading panel. Choices go by the place of a key, so that they lie together on every keyboard layout;
// commands go by the letter that is printed on it. The caps on the buttons show what the keyboard in use prints.

const STEP_CODES = ["KeyQ", "KeyW", "KeyE", "KeyR", "KeyT", "KeyA", "KeyS", "KeyD", "KeyF", "KeyG"];
const COMMANDS = "UIMNOPXC";

class Keys {
  // `onLayout()` is called when the caps have changed.
  constructor(onLayout) {
    this.caps = new Map();
    this.onLayout = onLayout;
    navigator.keyboard?.getLayoutMap?.().then((layout) => {
      STEP_CODES.forEach((code) => this.learn(code, layout.get(code)));
    }, () => undefined);
  }

  learn(code, key) {
    const step = STEP_CODES.indexOf(code);
    const cap = (key || "").toUpperCase();
    if (step < 0 || cap.length !== 1 || cap === this.capOfStep(step)) return;
    this.caps.set(code, cap);
    this.onLayout();
  }

  // Cap of a class (0 ... 19); classes 11 to 20 are typed with Shift. Empty: it has no key.
  capOfClass(index) {
    return index >= 20 ? "" : `${index >= 10 ? "⇧" : ""}${(index + 1) % 10}`;
  }

  capOfStep(index) {
    const code = STEP_CODES[index];
    return code ? this.caps.get(code) || code.slice(-1) : "";
  }

  // The panel's name for a key, or null when the key means nothing here.
  name(event, classes, steps) {
    const { code, key } = event;
    if (/^(Enter|NumpadEnter|Space)$/.test(code) || key === "Enter") return "Enter";
    if (/^(Escape|Arrow(Up|Down|Left|Right))$/.test(key)) return key;
    if (key === "Home") return "reset";
    const digit = /^(Digit|Numpad)([0-9])$/.exec(code);
    if (digit && key !== "?") {
      const second = event.shiftKey && classes > 10 && digit[1] === "Digit" ? 10 : 0;
      const index = (Number(digit[2]) || 10) - 1 + second;
      if (index < classes) return `class ${index + 1}`;
      return digit[2] === "0" ? "reset" : null;
    }
    if (!event.shiftKey) this.learn(code, key);
    const step = STEP_CODES.indexOf(code);
    if (step >= 0 && step < steps) return `step ${step + 1}`;
    if (key === "?") return "?";
    if (code === "BracketLeft" || code === "BracketRight") {
      return `${event.shiftKey ? "lower" : "upper"} ${code === "BracketRight" ? "up" : "down"}`;
    }
    if (/^(Equal|NumpadAdd)$/.test(code) || key === "+") return "+";
    if (/^(Minus|NumpadSubtract)$/.test(code) || key === "-") return "-";
    const letter = /^[a-z]$/i.test(key) ? key.toUpperCase() : code.replace(/^Key/, "");
    return letter.length === 1 && COMMANDS.includes(letter) ? letter : null;
  }

  // Every key and what it does, for a study of so many classes and steps.
  sheet(classes, steps) {
    const caps = (count, capOf) => {
      const all = Array.from({ length: count }, (_, index) => capOf.call(this, index)).filter(Boolean);
      return all.length > 6 && capOf === this.capOfClass ? [all[0], "–", all[all.length - 1]] : all;
    };
    return [
      [caps(classes, this.capOfClass), "choose the diagnosis"],
      [caps(steps, this.capOfStep), "choose the confidence"],
      [["Enter", "Space"], "save and go on"],
      [["U"], "correct the last saved answer"],
      [["Esc"], "leave correction, comment, pause, sheet"],
      [["X"], "flag the image as unreadable"], [["C"], "write a comment"], [["P"], "pause"],
      [["[", "]"], "upper threshold down, up"], [["⇧[", "⇧]"], "lower threshold down, up"],
      [["right drag"], "window and level"],
      [["drag", "arrows"], "move the image"], [["wheel", "+", "−"], "zoom"],
      [["O"], "one pixel on one pixel"], [[classes < 10 ? "0" : "Home", "double click"], "view as at first"],
      [["I"], "light for dark"], [["M"], "next colour table"], [["N"], "pixels or smooth"],
      [["?"], "show or hide this sheet"],
    ];
  }
}
