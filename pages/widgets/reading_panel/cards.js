// Cards that cover the room between two cases: instructions, the check of the screen, a break, the end of the training.

const SEEN_PREFIX = "reading-room-seen:";

class Cards {
  constructor(panel) {
    this.panel = panel;
    this.open = null;
    this.ramp = { dark: false, light: false };
    this.isScreenChecked = false;
  }

  get isOpen() {
    return this.open !== null;
  }

  // The reader's screen as it is now, for the record of every answer.
  screen() {
    const { conditions } = this.panel.header;
    return {
      width: window.innerWidth,
      height: window.innerHeight,
      pixel_ratio: window.devicePixelRatio || 1,
      zoom: Math.round(100 * (window.visualViewport?.scale || 1)) / 100,
      is_below_minimum: this.isTooSmall(conditions),
      ...(conditions.has_grey_ramp && { dark_square_seen: this.ramp.dark, light_square_seen: this.ramp.light }),
    };
  }

  isTooSmall({ min_width_px: width, min_height_px: height }) {
    return window.innerWidth < width || window.innerHeight < height;
  }

  // Whether a card stands between two cases of one order.
  isDue(next, last) {
    if (next.study && next.study !== last.study) return false; // a block of another study
    return next.mode === "read" && last.mode === "read" && (next.block !== last.block || next.is_training !== last.is_training);
  }

  // Open the card that comes before a case, if any.
  comesBefore(header, last) {
    if (header.mode !== "read") return false;
    const card = this.instructions(header) || this.check(header) || this.pause(header, last);
    if (!card) return false;
    if (!this.panel.header) this.panel.header = header;
    this.show(card);
    return true;
  }

  // `card`: title, text, and what else it has; `leadsTo` is where Enter goes from the last card of a page.
  show(card) {
    this.open = card;
    this.panel.isDrawn = false;
    this.panel.coveredAt = performance.now();
    this.write();
    this.panel.parts.card.querySelector(".save").focus();
  }

  instructions(header) {
    const name = `${SEEN_PREFIX}${header.study}:${header.reader}`;
    if (!header.instructions || header.done > 0 || this.told === name || keptInTab(name)) return null;
    this.told = name;
    keepInTab(name, "1");
    return { title: "Before you begin", text: header.instructions };
  }

  check({ conditions }) {
    if (this.isScreenChecked) return null;
    this.isScreenChecked = true;
    if (!conditions.has_grey_ramp && !this.isTooSmall(conditions)) return null;
    return { title: "Your screen", isCheck: true };
  }

  pause(header, last) {
    if (!last || last.study !== header.study || this.passed === header.presentation_id || !this.isDue(header, last)) return null;
    const trained = last.is_training && !header.is_training;
    const title = trained ? "The training cases are over" : `Part ${last.block} of ${header.n_blocks} is done`;
    const text = trained ? "From now on your answers count, and there is no feedback."
      : "Take a break if you like. The reading time stands still, and everything is saved.";
    return { title, text };
  }

  close() {
    this.passed = this.panel.waiting.presentation_id;
    this.open = null;
    this.panel.release();
  }

  tick(name) {
    const which = { 1: "dark", 2: "light" }[/^(class|tick) ([12])$/.exec(name)?.[2]];
    if (!this.open?.isCheck || !which || !this.panel.waiting.conditions.has_grey_ramp) return false;
    this.ramp[which] = !this.ramp[which];
    return true;
  }

  write() {
    const { parts, waiting } = this.panel;
    parts.card.hidden = !this.isOpen;
    if (!this.isOpen) return;
    parts["card-title"].textContent = this.open.title;
    parts["card-go"].textContent = this.open.leadsTo ? "Sign in again" : "Go on";
    const { isCheck } = this.open;
    parts["card-text"].textContent = isCheck ? this.screenText(waiting.conditions) : this.open.text;
    parts.ramp2.hidden = !isCheck || !waiting.conditions.has_grey_ramp;
    for (const which of ["dark", "light"]) parts[`ramp-${which}`].setAttribute("aria-checked", String(this.ramp[which]));
  }

  screenText(conditions) {
    const { width, height, pixel_ratio: ratio, zoom } = this.screen();
    const size = `This window has ${width} × ${height} pixels, pixel ratio ${ratio}, zoom ${Math.round(100 * zoom)} %.`;
    if (!this.isTooSmall(conditions)) return size;
    const { min_width_px: across, min_height_px: down } = conditions;
    const least = across && down ? `${across} × ${down}` : across ? `${across} pixels across` : `${down} pixels down`;
    return `${size} The study asks for at least ${least}: enlarge the window or take a larger screen. You may go on; it `
      + "is stored with your answers.";
  }
}
