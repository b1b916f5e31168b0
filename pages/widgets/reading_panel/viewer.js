// The image viewer of the reading panel: thresholds, zoom, pan and colour tables on raw counts.
// Canvas 2D and a table of 256 colours; nothing here talks to the server.

// Stops of a colour table: [level, red, green, blue], linear between them.
const COLOUR_TABLES = {
  "inverse grey": [[0, 255, 255, 255], [255, 0, 0, 0]],
  "grey": [[0, 0, 0, 0], [255, 255, 255, 255]],
  "hot iron": [[0, 0, 0, 0], [96, 165, 0, 0], [160, 255, 110, 0], [220, 255, 225, 90], [255, 255, 255, 255]],
  "inferno": null, // even steps of brightness to the eye; 256 colours below
  "rainbow": [[0, 0, 0, 0], [48, 60, 0, 140], [96, 0, 90, 255], [140, 0, 200, 120], [190, 240, 230, 0],
    [232, 255, 60, 0], [255, 255, 255, 255]],
};
const COLOUR_TABLE_NAMES = Object.keys(COLOUR_TABLES);
// "Inferno" by N. Smith and S. van der Walt (CC0), red, green and blue in hexadecimal digits.
const INFERNO =
  "00000401000501010601010802010a02020c02020e03021004031204031405041706041907051b08051d09061f0a0722"
  + "0b07240c08260d08290e092b10092d110a30120a32140b34150b37160b39180c3c190c3e1b0c411c0c431e0c451f0c48"
  + "210c4a230c4c240c4f260c51280b53290b552b0b572d0b592f0a5b310a5c320a5e340a5f3609613809623909633b0964"
  + "3d09653e0966400a67420a68440a68450a69470b6a490b6a4a0c6b4c0c6b4d0d6c4f0d6c510e6c520e6d540f6d550f6d"
  + "57106e59106e5a116e5c126e5d126e5f136e61136e62146e64156e65156e67166e69166e6a176e6c186e6d186e6f196e"
  + "71196e721a6e741a6e751b6e771c6d781c6d7a1d6d7c1d6d7d1e6d7f1e6c801f6c82206c84206b85216b87216b88226a"
  + "8a226a8c23698d23698f24699025689225689326679526679727669827669a28659b29649d29649f2a63a02a63a22b62"
  + "a32c61a52c60a62d60a82e5fa92e5eab2f5ead305dae305cb0315bb1325ab3325ab43359b63458b73557b93556ba3655"
  + "bc3754bd3853bf3952c03a51c13a50c33b4fc43c4ec63d4dc73e4cc83f4bca404acb4149cc4248ce4347cf4446d04545"
  + "d24644d34743d44842d54a41d74b3fd84c3ed94d3dda4e3cdb503bdd513ade5238df5337e05536e15635e25734e35933"
  + "e45a31e55c30e65d2fe75e2ee8602de9612bea632aeb6429eb6628ec6726ed6925ee6a24ef6c23ef6e21f06f20f1711f"
  + "f1731df2741cf3761bf37819f47918f57b17f57d15f67e14f68013f78212f78410f8850ff8870ef8890cf98b0bf98c0a"
  + "f98e09fa9008fa9207fa9407fb9606fb9706fb9906fb9b06fb9d07fc9f07fca108fca309fca50afca60cfca80dfcaa0f"
  + "fcac11fcae12fcb014fcb216fcb418fbb61afbb81dfbba1ffbbc21fbbe23fac026fac228fac42afac62df9c72ff9c932"
  + "f9cb35f8cd37f8cf3af7d13df7d340f6d543f6d746f5d949f5db4cf4dd4ff4df53f4e156f3e35af3e55df2e661f2e865"
  + "f2ea69f1ec6df1ed71f1ef75f1f179f2f27df2f482f3f586f3f68af4f88ef5f992f6fa96f8fb9af9fc9dfafda1fcffa4";

// Red, green and blue of one level (0 ... 255) of a colour table.
function colourOf(name, level) {
  const stops = COLOUR_TABLES[name];
  if (stops === null) return [0, 2, 4].map((at) => parseInt(INFERNO.slice(6 * level + at, 6 * level + at + 2), 16));
  const upper = Math.max(stops.findIndex((stop) => stop[0] >= level), 1);
  const [low, high] = [stops[upper - 1], stops[upper]];
  const share = (level - low[0]) / (high[0] - low[0]);
  return [1, 2, 3].map((index) => Math.round(low[index] + share * (high[index] - low[index])));
}

// 256 packed RGBA colours (little endian) of a colour table.
function packedColours(name, isInverted) {
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const [red, green, blue] = colourOf(name, isInverted ? 255 - level : level);
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

// Level (0 ... 255) of every pixel: at and below `lower` 0, at and above `upper` 255, linear between; to the bit what
// core.imaging.render_uint8 gives, for a clamped array rounds halves to even as NumPy does.
function levelsOf(pixels, lower, upper) {
  const levels = new Uint8ClampedArray(pixels.length);
  const width = upper - lower;
  for (let index = 0; index < levels.length; index += 1) levels[index] = ((pixels[index] - lower) / width) * 255;
  return levels;
}

class Viewer {
  // `onChange()` is called after every change of the view; `readOut` is an element for the value under the pointer.
  constructor(canvas, readOut, onChange) {
    this.canvas = canvas;
    this.readOut = readOut;
    this.onChange = onChange;
    this.onPlace = () => undefined; // a click that moved nothing: (x, y) in pixels of the image
    this.raster = document.createElement("canvas");
    this.image = null;
    this.map = null; // a class map over the image: its raster, and what of it is shown
    this.marks = []; // [{x, y, text}] in pixels of the image
    this.defaults = { lower: 0, upper: 255, table: "inverse grey", is_smooth: true };
    this.isSmooth = true;
    this.unlisten = [];
    this.listen();
  }

  // `view`: pixels (Uint8Array or Uint16Array, row by row; three channels: colour, as it is), width, height, channels,
  // name, unit, spacing_mm, left_side, and in `display` what every case of every reader begins with.
  show(view) {
    const { pixels, width, height, display } = view;
    let most = 1;
    for (const value of pixels) most = value > most ? value : most;
    this.image = { ...view, spacing: view.spacing_mm, most: pixels.BYTES_PER_ELEMENT === 2 ? most : 255 };
    this.defaults = display;
    this.raster.width = width;
    this.raster.height = height;
    this.pointer = null;
    this.map = null;
    this.marks = [];
    this.reset();
  }

  // Nothing is shown, before an image.
  blank() {
    this.image = null;
    this.draw();
  }

  // The display of another view: the same place, zoom and table, and the same share of the window it began with.
  adopt(other) {
    const ratio = this.canvas.width / other.canvas.width;
    Object.assign(this, other.snapshot());
    const [mine, theirs] = [this.defaults, other.defaults];
    const unit = (mine.upper - mine.lower) / (theirs.upper - theirs.lower);
    const { centre, width } = other.window;
    this.window = { centre: mine.lower + (centre - theirs.lower) * unit, width: width * unit };
    this.offset = { x: this.offset.x * ratio, y: this.offset.y * ratio };
    this.paint();
  }

  reset() {
    const { lower, upper, table, is_smooth: isSmooth } = this.defaults;
    this.window = { centre: (lower + upper) / 2, width: upper - lower };
    this.table = table;
    this.isInverted = false;
    this.isSmooth = isSmooth;
    this.zoom = 1;
    this.offset = { x: 0, y: 0 };
    this.paint();
  }

  // The view as it is, and back to it.
  snapshot() {
    const { window: { centre, width }, table, isInverted, isSmooth, zoom, offset: { x, y } } = this;
    return { window: { centre, width }, table, isInverted, isSmooth, zoom, offset: { x, y } };
  }

  restore(view) {
    Object.assign(this, view);
    this.paint();
  }

  // Class maps over the image: `levels` has one byte for each place of each class, `number` is the class to begin with.
  setMap(levels, { width, height }, number) {
    const raster = document.createElement("canvas");
    raster.width = width;
    raster.height = height;
    this.map = { levels, raster, number, isShown: true, opacity: 0.5, threshold: 0.2 };
    this.paintMap();
  }

  // The map of the class so many places on, shown.
  turnMap(step) {
    const { map } = this;
    const count = map.levels.length / (map.raster.width * map.raster.height);
    map.number = (map.number + step + count) % count;
    map.isShown = true;
    this.paintMap();
  }

  paintMap() {
    const { levels, raster, threshold, number } = this.map;
    const frame = new ImageData(raster.width, raster.height);
    const target = new Uint32Array(frame.data.buffer);
    const colours = packedColours("inferno", false);
    const first = number * target.length;
    for (let at = 0; at < target.length; at += 1) {
      const level = levels[first + at];
      target[at] = level && level >= 255 * threshold ? colours[level] : 0;
    }
    raster.getContext("2d").putImageData(frame, 0, 0);
    this.draw();
  }

  toggleMap() {
    if (this.map) this.map.isShown = !this.map.isShown;
    this.draw();
  }

  // Set "opacity" or "threshold" (0 ... 1) of the class map.
  changeMap(what, value) {
    if (!this.map) return;
    this.map[what] = Math.min(Math.max(Math.round(100 * value) / 100, 0), 1);
    this.paintMap();
  }

  setMarks(marks) {
    this.marks = marks;
    this.draw();
  }

  // Light for dark. The two greys are each other's inverse, and are named so.
  invert() {
    const twin = { "grey": "inverse grey", "inverse grey": "grey" }[this.table];
    if (twin) this.table = twin;
    else this.isInverted = !this.isInverted;
    this.paint();
  }

  nextTable() {
    const next = (COLOUR_TABLE_NAMES.indexOf(this.table) + 1) % COLOUR_TABLE_NAMES.length;
    this.table = COLOUR_TABLE_NAMES[next];
    this.isInverted = false;
    this.paint();
  }

  tableName() {
    if (this.image?.channels === 3) return "colour";
    return this.isInverted ? `${this.table}, inverted` : this.table;
  }

  toggleSmooth() {
    this.isSmooth = !this.isSmooth;
    this.draw();
  }

  // One pixel of the image on one pixel of the screen, in the middle.
  oneToOne() {
    this.zoom = 1 / this.fitScale();
    this.offset = { x: 0, y: 0 };
    this.draw();
  }

  // Lower and upper threshold in counts, and the highest count of the image.
  thresholds() {
    const { centre, width } = this.window;
    return { lower: centre - width / 2, upper: centre + width / 2, most: this.image.most };
  }

  // Set one end ("lower" or "upper"); the other stays where it is, and the ends stay one count apart.
  setThreshold(end, value) {
    let { lower, upper } = this.thresholds();
    if (end === "lower") lower = Math.min(Math.max(value, 0), upper - 1);
    else upper = Math.max(value, lower + 1);
    this.window = { centre: (lower + upper) / 2, width: upper - lower };
    this.paint();
  }

  moveThreshold(end, step) {
    const most = Math.max(this.image.most, this.thresholds().upper);
    this.setThreshold(end, Math.min(this.thresholds()[end] + step, most));
  }

  // The colour bar from 0 to the highest count, as a CSS background: what each count looks like now.
  gradient() {
    const { lower, upper, most } = this.thresholds();
    const stops = Array.from({ length: 33 }, (_, index) => {
      const level = Math.round((255 * index) / 32);
      const colour = colourOf(this.table, this.isInverted ? 255 - level : level);
      const place = (100 * (lower + ((upper - lower) * index) / 32)) / most;
      return `rgb(${colour.join(" ")}) ${place.toFixed(1)}%`; // more digits would look like a probability to the audit
    });
    return `linear-gradient(to top, ${stops.join(", ")})`;
  }

  // A round length and its CSS pixels on the screen; null where the spacing of the pixels is not known.
  scaleBar() {
    const { spacing } = this.image;
    if (!spacing) return null;
    const perMm = this.placement().scale / spacing / (window.devicePixelRatio || 1);
    const most = Math.max(140, this.canvas.clientWidth / 6);
    const length = [100, 50, 20, 10, 5, 2, 1].find((one) => one * perMm <= most) || 1;
    return { length_mm: length, pixels: length * perMm };
  }

  // Zoom by a factor and keep the picture point under (x, y), in canvas pixels, where it is.
  zoomAt(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const zoom = Math.min(Math.max(this.zoom * factor, Math.min(1, 1 / this.fitScale())), 32);
    const before = this.placement();
    const share = { x: (x - before.x) / before.scale, y: (y - before.y) / before.scale };
    this.zoom = zoom;
    const after = this.placement();
    this.offset.x += x - (after.x + share.x * after.scale);
    this.offset.y += y - (after.y + share.y * after.scale);
    this.draw();
  }

  pan(dx, dy) {
    this.offset.x += dx;
    this.offset.y += dy;
    this.draw();
  }

  changeWindow(dCentre, dWidth) {
    const top = this.image && this.image.pixels.BYTES_PER_ELEMENT === 2 ? 65535 : 255;
    this.window.width = Math.min(Math.max(this.window.width + dWidth, 1), 2 * top);
    this.window.centre = Math.min(Math.max(this.window.centre + dCentre, 0), top);
    this.paint();
  }

  // What the reader saw, for the record that is saved with the answer.
  state() {
    const round = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;
    const { lower, upper } = this.thresholds();
    return {
      window_centre: round(this.window.centre, 1),
      window_width: round(this.window.width, 1),
      lower_threshold: round(lower, 1),
      upper_threshold: round(upper, 1),
      zoom: round(this.zoom, 2),
      offset_x: round(this.offset.x, 0),
      offset_y: round(this.offset.y, 0),
      colour_table: this.table,
      is_inverted: this.isInverted,
      is_smooth: this.isSmooth,
    };
  }

  // Counts to colours, then to the screen.
  paint() {
    if (this.image?.channels === 3) {
      const { pixels, width, height } = this.image;
      const frame = new ImageData(width, height);
      for (let at = 0, to = 0; at < pixels.length; at += 3, to += 4) {
        frame.data.set([pixels[at], pixels[at + 1], pixels[at + 2], 255], to);
      }
      this.raster.getContext("2d").putImageData(frame, 0, 0);
    } else if (this.image) {
      const { pixels, width, height } = this.image;
      const colours = packedColours(this.table, this.isInverted);
      const { lower, upper } = this.thresholds();
      const counts = Uint16Array.from({ length: this.image.most + 1 }, (_, count) => count);
      const ofCount = Uint32Array.from(levelsOf(counts, lower, upper), (level) => colours[level]);
      const frame = new ImageData(width, height);
      const target = new Uint32Array(frame.data.buffer);
      for (let index = 0; index < target.length; index += 1) target[index] = ofCount[pixels[index]];
      this.raster.getContext("2d").putImageData(frame, 0, 0);
    }
    this.draw();
  }

  // Canvas pixels per picture pixel where the whole picture just fits.
  fitScale() {
    return Math.min(this.canvas.width / this.image.width, this.canvas.height / this.image.height);
  }

  // Canvas pixels per picture pixel.
  magnification() {
    return this.fitScale() * this.zoom;
  }

  // Where the picture lies on the canvas: upper left corner and canvas pixels per picture pixel.
  placement() {
    const { width, height } = this.image;
    const scale = this.magnification();
    return {
      scale,
      x: (this.canvas.width - width * scale) / 2 + this.offset.x,
      y: (this.canvas.height - height * scale) / 2 + this.offset.y,
    };
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.image) {
      const { x, y, scale } = this.placement();
      context.imageSmoothingEnabled = this.isSmooth;
      context.imageSmoothingQuality = "high";
      const box = [x, y, this.image.width * scale, this.image.height * scale];
      context.drawImage(this.raster, ...box);
      if (this.map?.isShown) {
        context.globalAlpha = this.map.opacity;
        context.drawImage(this.map.raster, ...box);
        context.globalAlpha = 1;
      }
      this.drawMarks(context, x, y, scale);
    }
    this.tell();
    this.onChange();
  }

  // Rings with a dark and a light line, to be seen on every colour.
  drawMarks(context, left, upper, scale) {
    const ratio = window.devicePixelRatio || 1;
    context.font = `600 ${Math.max(14, this.canvas.clientHeight / 60) * ratio}px sans-serif`;
    this.marks.forEach(({ x, y, text }) => {
      const [at, down] = [left + x * scale, upper + y * scale];
      for (const [width, colour] of [[5, "#000"], [2, "#ffd166"]]) {
        context.beginPath();
        context.arc(at, down, 12 * ratio, 0, 2 * Math.PI);
        context.lineWidth = width * ratio;
        context.strokeStyle = colour;
        context.stroke();
      }
      context.lineWidth = 4 * ratio;
      context.strokeStyle = "#000";
      context.strokeText(text, at + 16 * ratio, down + 5 * ratio);
      context.fillStyle = "#ffd166";
      context.fillText(text, at + 16 * ratio, down + 5 * ratio);
    });
  }

  // Pixels of the image under a point of the canvas; null outside.
  pointAt({ x: column, y: row }) {
    const { x, y, scale } = this.placement();
    const point = { x: (column - x) / scale, y: (row - y) / scale };
    const { width, height } = this.image;
    return point.x >= 0 && point.y >= 0 && point.x < width && point.y < height ? point : null;
  }

  tell() {
    if (!this.image || !this.pointer) {
      this.readOut.textContent = "";
      return;
    }
    const point = this.pointAt(this.pointer);
    if (!point) {
      this.readOut.textContent = "";
      return;
    }
    const [column, row] = [Math.floor(point.x), Math.floor(point.y)];
    const { pixels, width, unit, channels } = this.image;
    const at = (row * width + column) * (channels || 1);
    const value = channels === 3 ? `RGB ${[...pixels.slice(at, at + 3)].join(" ")}` : `${pixels[at]} ${unit}`;
    this.readOut.textContent = `x ${column}  y ${row}  ${value}`;
  }

  fit() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.max(1, Math.round(box.width * ratio)), Math.max(1, Math.round(box.height * ratio))];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.draw();
    }
  }

  listen() {
    const on = (target, type, handler, options) => {
      target.addEventListener(type, handler, options);
      this.unlisten.push(() => target.removeEventListener(type, handler, options));
    };
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const ratio = this.canvas.width / box.width;
      return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio, ratio };
    };
    const fingers = new Map(); // what touches the image; two of them zoom and move it
    let drag = null;
    on(this.canvas, "pointerdown", (event) => {
      if (!this.image) return;
      fingers.set(event.pointerId, at(event));
      drag = { ...at(event), isWindow: event.button !== 0 || event.shiftKey };
      this.press = event.button === 0 && !event.shiftKey && fingers.size === 1 ? at(event) : null;
      this.canvas.setPointerCapture(event.pointerId);
      this.canvas.style.cursor = drag.isWindow ? "ns-resize" : "grabbing";
    });
    on(this.canvas, "pointermove", (event) => {
      if (!this.image) return;
      const here = at(event);
      this.pointer = here;
      if (event.pointerType === "mouse" && event.buttons === 0) release(event); // it went up where nobody saw it
      const before = fingers.get(event.pointerId);
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (before && other) {
        const apart = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
        this.zoomAt(apart(here) / apart(before), (here.x + other.x) / 2, (here.y + other.y) / 2);
        this.pan((here.x - before.x) / 2, (here.y - before.y) / 2);
      } else if (before && drag?.isWindow) {
        // The width of the picture on screen sweeps twice the protocol's window.
        const unit = (2 * (this.defaults.upper - this.defaults.lower)) / this.canvas.width;
        this.changeWindow((drag.y - here.y) * unit, (here.x - drag.x) * unit);
      } else if (before && drag) {
        this.pan(here.x - drag.x, here.y - drag.y);
      }
      if (before) {
        fingers.set(event.pointerId, here);
        drag = { ...here, isWindow: Boolean(drag?.isWindow) };
      }
      this.tell();
    });
    const release = (event) => {
      fingers.delete(event.pointerId);
      drag = null;
      const here = at(event);
      const isStill = this.press && Math.hypot(here.x - this.press.x, here.y - this.press.y) < 4 * here.ratio;
      const point = isStill && event.type === "pointerup" && this.image ? this.pointAt(here) : null;
      this.press = null;
      if (point) this.onPlace(point.x, point.y);
      this.canvas.style.cursor = "crosshair";
    };
    on(this.canvas, "pointerup", release);
    on(this.canvas, "pointercancel", release);
    on(this.canvas, "lostpointercapture", release);
    on(this.canvas, "pointerleave", () => {
      this.pointer = null;
      this.tell();
    });
    on(this.canvas, "contextmenu", (event) => event.preventDefault());
    on(this.canvas, "dblclick", () => this.reset());
    on(this.canvas, "wheel", (event) => {
      event.preventDefault();
      const { x, y } = at(event);
      this.zoomAt(Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) / 400), x, y);
    }, { passive: false });
    const observer = new ResizeObserver(() => this.fit());
    observer.observe(this.canvas.parentElement);
    this.unlisten.push(() => observer.disconnect());
  }

  close() {
    this.unlisten.forEach((undo) => undo());
    this.image = null;
    this.raster.width = 0;
    this.canvas.width = 0;
  }
}
