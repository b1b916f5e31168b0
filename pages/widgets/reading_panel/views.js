// The views of one case side by side: one viewer each, joined (what is done to one is done to all) or apart.

class Views {
  // `frames` holds one frame, which is copied for further views; `onChange()` follows every change.
  constructor(frames, readOut, onChange) {
    this.frames = frames;
    this.model = frames.firstElementChild.cloneNode(true);
    this.readOut = readOut;
    this.onChange = onChange;
    this.isJoined = true;
    this.active = 0;
    this.viewers = [];
    this.onPlace = () => undefined; // a click on the image: (number of the view from 1, x, y)
    this.setCount(1);
    this.observer = new ResizeObserver(() => this.arrange());
    this.observer.observe(frames);
  }

  setCount(count) {
    while (this.viewers.length > count) {
      this.viewers.pop().close();
      this.frames.lastElementChild.remove();
    }
    while (this.viewers.length < count) {
      const number = this.viewers.length;
      if (number > 0) this.frames.append(this.model.cloneNode(true));
      const frame = this.frames.children[number];
      const viewer = new Viewer(frame.querySelector("canvas"), this.readOut, () => this.follow(number));
      viewer.onPlace = (x, y) => this.onPlace(number + 1, x, y);
      viewer.frame = frame;
      frame.addEventListener("pointerenter", () => this.activate(number));
      this.viewers.push(viewer);
    }
    this.arrange();
  }

  // In as many columns as give every view the most room.
  arrange() {
    const { clientWidth: width, clientHeight: height } = this.frames;
    const count = this.viewers.length;
    const room = (columns) => {
      const rows = Math.ceil(count / columns);
      return Math.min(width / columns, height / rows) - (columns * rows - count) / 100; // rather no place empty
    };
    const columns = Array.from({ length: count }, (_, index) => count - index); // in one row where it is the same
    this.frames.style.setProperty("--columns", columns.reduce((best, one) => (room(one) > room(best) ? one : best)));
  }

  activate(number) {
    if (this.active === number) return;
    this.active = number;
    this.onChange();
  }

  get one() {
    return this.viewers[this.active];
  }

  get image() {
    return this.viewers[0].image;
  }

  get canvas() {
    return this.viewers[0].canvas;
  }

  show(views) {
    this.setCount(views.length);
    this.active = Math.min(this.active, views.length - 1);
    this.isJoined = true;
    this.isQuiet = true;
    views.forEach((view, number) => this.viewers[number].show(view));
    this.isQuiet = false;
    this.viewers.forEach((viewer) => this.tell(viewer));
    this.onChange();
  }

  // An empty room before the image.
  blank() {
    this.viewers.forEach((viewer) => viewer.blank());
  }

  // A change in one view: the others follow it where they are joined.
  follow(number) {
    if (this.isQuiet) return;
    this.isQuiet = true;
    const leader = this.viewers[number];
    if (this.isJoined && leader?.image) this.viewers.forEach((viewer) => viewer !== leader && viewer.adopt(leader));
    this.isQuiet = false;
    this.viewers.forEach((viewer) => this.tell(viewer));
    this.onChange();
  }

  // Name, scale bar and sides of one view.
  tell(viewer) {
    const { frame, image } = viewer;
    if (!image) return;
    const parts = [".view-name", ".scale-bar", ".side-left", ".side-right"].map((part) => frame.querySelector(part));
    const [name, bar, ...sides] = parts;
    name.textContent = image.name;
    name.hidden = !image.name;
    const scale = viewer.scaleBar();
    bar.hidden = scale === null;
    if (scale) {
      bar.style.width = `${scale.pixels}px`;
      bar.firstElementChild.textContent = `${scale.length_mm} mm`;
    }
    sides.forEach((side, at) => {
      side.hidden = !image.left_side;
      const isLeft = (image.left_side === "image-left") === (at === 0);
      side.textContent = image.left_side ? (isLeft ? "L" : "R") : "";
    });
  }

  toggleJoined() {
    this.isJoined = !this.isJoined;
    this.follow(this.active);
  }

  // The view that has class maps over it; none in an unaided arm.
  get mapped() {
    return this.viewers.find((viewer) => viewer.map);
  }

  state() {
    const map = this.mapped?.map;
    const ofMap = map && {
      class_map_number: map.number + 1, class_map_is_shown: map.isShown, class_map_opacity: map.opacity,
      class_map_threshold: map.threshold,
    };
    const first = { ...this.viewers[0].state(), ...ofMap };
    if (this.viewers.length === 1) return first;
    const views = this.viewers.map((viewer) => ({ view: viewer.image.name, ...viewer.state() }));
    return { ...first, is_joined: this.isJoined, views };
  }

  snapshot() {
    return { isJoined: this.isJoined, views: this.viewers.map((viewer) => viewer.snapshot()) };
  }

  restore({ isJoined, views }) {
    this.isQuiet = true;
    views.forEach((view, number) => this.viewers[number]?.restore(view));
    this.isQuiet = false;
    this.isJoined = isJoined;
    this.follow(0);
  }

  close() {
    this.observer.disconnect();
    this.viewers.forEach((viewer) => viewer.close());
  }
}

// What is done to the one view under the pointer, and so to all that are joined with it.
for (const deed of ["reset", "invert", "nextTable", "toggleSmooth", "oneToOne", "zoomAt", "pan", "moveThreshold",
  "setThreshold", "thresholds", "placement", "magnification", "tableName", "gradient"]) {
  Views.prototype[deed] = function (...given) { return this.one[deed](...given); };
}
for (const name of ["isSmooth", "defaults"]) {
  Object.defineProperty(Views.prototype, name, { get() { return this.one[name]; } });
}
