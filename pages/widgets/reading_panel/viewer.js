// The image viewer of the reading panel: window and level, zoom, pan and colour tables on raw counts.
// Canvas 2D and a table of 256 colours; nothing here talks to the server.

const COLOUR_TABLES = {
  "inverse grey": [[0, 255, 255, 255], [255, 0, 0, 0]],
  "grey": [[0, 0, 0, 0], [255, 255, 255, 255]],
  "hot iron": [[0, 0, 0, 0], [96, 165, 0, 0], [160, 255, 110, 0], [220, 255, 225, 90], [255, 255, 255, 255]],
  "rainbow": [[0, 0, 0, 0], [48, 60, 0, 140], [96, 0, 90, 255], [140, 0, 200, 120], [190, 240, 230, 0],
    [232, 255, 60, 0], [255, 255, 255, 255]],
};
const COLOUR_TABLE_NAMES = Object.keys(COLOUR_TABLES);

// 256 packed RGBA colours (little endian) between the stops of one colour table.
function packedColours(name, isInverted) {
  const stops = COLOUR_TABLES[name];
  const colours = new Uint32Array(256);
  for (let level = 0; level < 256; level += 1) {
    const at = isInverted ? 255 - level : level;
    let upper = stops.findIndex((stop) => stop[0] >= at);
    upper = Math.max(upper, 1);
    const [low, high] = [stops[upper - 1], stops[upper]];
    const share = (at - low[0]) / (high[0] - low[0]);
    const channel = (index) => Math.round(low[index] + share * (high[index] - low[index]));
    colours[level] = ((255 << 24) | (channel(3) << 16) | (channel(2) << 8) | channel(1)) >>> 0;
  }
  return colours;
}

class Viewer {
  // `onChange()` is called after every change of the view; `readOut` is an element for the value under the pointer.
  constructor(canvas, readOut, onChange) {
    this.canvas = canvas;
    this.readOut = readOut;
    this.onChange = onChange;
    this.raster = document.createElement("canvas");
    this.image = null;
    this.defaults = { centre: 127.5, width: 255, table: "inverse grey" };
    this.unlisten = [];
    this.listen();
  }

  // pixels: Uint8Array or Uint16Array, row by row; defaults: {centre, width, table}, the same for every case.
  show(pixels, width, height, unit, defaults) {
    this.image = { pixels, width, height, unit };
    this.defaults = defaults;
    this.raster.width = width;
    this.raster.height = height;
    this.pointer = null;
    this.reset();
  }

  clear() {
    this.image = null;
    this.draw();
  }

  reset() {
    this.window = { centre: this.defaults.centre, width: this.defaults.width };
    this.table = this.defaults.table;
    this.isInverted = false;
    this.zoom = 1;
    this.offset = { x: 0, y: 0 };
    this.paint();
  }

  invert() {
    this.isInverted = !this.isInverted;
    this.paint();
  }

  nextTable() {
    const next = (COLOUR_TABLE_NAMES.indexOf(this.table) + 1) % COLOUR_TABLE_NAMES.length;
    this.table = COLOUR_TABLE_NAMES[next];
    this.paint();
  }

  // Zoom by a factor and keep the picture point under (x, y), in canvas pixels, where it is.
  zoomAt(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), 32);
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
    return {
      window_centre: Math.round(this.window.centre * 10) / 10,
      window_width: Math.round(this.window.width * 10) / 10,
      zoom: Math.round(this.zoom * 100) / 100,
      colour_table: this.table,
      is_inverted: this.isInverted,
    };
  }

  // Counts to colours, then to the screen.
  paint() {
    if (this.image) {
      const { pixels, width, height } = this.image;
      const colours = packedColours(this.table, this.isInverted);
      const low = this.window.centre - this.window.width / 2;
      const scale = 255 / this.window.width; // as core.imaging.render_uint8
      const frame = new ImageData(width, height);
      const target = new Uint32Array(frame.data.buffer);
      for (let index = 0; index < target.length; index += 1) {
        const level = Math.round((pixels[index] - low) * scale);
        target[index] = colours[level <= 0 ? 0 : level >= 255 ? 255 : level];
      }
      this.raster.getContext("2d").putImageData(frame, 0, 0);
    }
    this.draw();
  }

  // Where the picture lies on the canvas: upper left corner and canvas pixels per picture pixel.
  placement() {
    const { width, height } = this.image || { width: 1, height: 1 };
    const scale = Math.min(this.canvas.width / width, this.canvas.height / height) * this.zoom;
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
      context.imageSmoothingEnabled = true;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.raster, x, y, this.image.width * scale, this.image.height * scale);
    }
    this.tell();
    this.onChange();
  }

  tell() {
    if (!this.image || !this.pointer) {
      this.readOut.textContent = "";
      return;
    }
    const { x, y, scale } = this.placement();
    const column = Math.floor((this.pointer.x - x) / scale);
    const row = Math.floor((this.pointer.y - y) / scale);
    const { pixels, width, height, unit } = this.image;
    const isInside = column >= 0 && row >= 0 && column < width && row < height;
    this.readOut.textContent = isInside ? `x ${column}  y ${row}  ${pixels[row * width + column]} ${unit}` : "";
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
    let drag = null;
    on(this.canvas, "pointerdown", (event) => {
      drag = { ...at(event), isWindow: event.button !== 0 || event.shiftKey };
      this.canvas.setPointerCapture(event.pointerId);
      this.canvas.style.cursor = drag.isWindow ? "ns-resize" : "grabbing";
    });
    on(this.canvas, "pointermove", (event) => {
      const here = at(event);
      this.pointer = here;
      if (drag && drag.isWindow) {
        // The width of the picture on screen sweeps twice the protocol's window.
        const unit = (2 * this.defaults.width) / this.canvas.width;
        this.changeWindow((drag.y - here.y) * unit, (here.x - drag.x) * unit);
      } else if (drag) {
        this.pan(here.x - drag.x, here.y - drag.y);
      }
      if (drag) {
        drag = { ...here, isWindow: drag.isWindow };
      }
      this.tell();
    });
    const release = () => {
      drag = null;
      this.canvas.style.cursor = "crosshair";
    };
    on(this.canvas, "pointerup", release);
    on(this.canvas, "pointercancel", release);
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
  }
}
