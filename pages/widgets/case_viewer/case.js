// One case, large: the image as readers saw it, and beside it the same with the map of one class.

class CaseView {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-part=${name}]`);
    this.chosen = 0;
    this.opacity = 0.55;
    this.threshold = 0.15;
    this.hasOutline = true;
    for (const name of ["opacity", "threshold"]) {
      this.part(name).addEventListener("input", (event) => {
        this[name] = Number(event.target.value) / 100;
        this.draw();
      });
      // A slider that keeps the focus would keep the arrow keys, which go from case to case.
      this.part(name).addEventListener("pointerup", (event) => event.target.blur());
    }
    this.part("outline").addEventListener("change", (event) => {
      this.hasOutline = event.target.checked;
      event.target.blur();
      this.draw();
    });
    this.onResize = () => this.draw();
    window.addEventListener("resize", this.onResize);
  }

  update(bytes) {
    const { header, body } = unpackCase(bytes);
    if (this.case !== header.case) this.chosen = header.first;
    this.case = header.case;
    this.header = header;
    this.body = body;
    this.raster = imageRaster(header.image, body);
    this.chosen = Math.min(this.chosen, Math.max(header.classes.length - 1, 0));
    this.buttons();
    this.part("controls").hidden = !header.maps;
    this.part("none").hidden = Boolean(header.maps);
    this.part("outline").closest("label").hidden = !header.mask;
    this.draw();
  }

  // One button a class: its name, the model's probability, a star at the reference standard.
  buttons() {
    const place = this.part("classes");
    place.replaceChildren(...this.header.classes.map(({ label, told }, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${label} ${told}`;
      button.setAttribute("aria-pressed", String(index === this.chosen));
      button.addEventListener("click", () => {
        this.chosen = index;
        this.buttons();
        this.draw();
      });
      return button;
    }));
  }

  draw() {
    if (!this.header) return;
    const { image, maps, mask } = this.header;
    const width = Math.max((this.root.clientWidth - 16) / 2, 200);
    const height = Math.min(width, this.header.height);
    const plain = fit(this.part("plain"), this.raster, width, height, image.display.is_smooth);
    const over = fit(this.part("over"), this.raster, width, height, image.display.is_smooth);
    if (maps) this.overlay(over, image, maps);
    if (mask && this.hasOutline) {
      const values = this.body.subarray(mask.at, mask.at + image.width * image.height);
      for (const context of [plain, over]) drawOutline(context, values, image.width, image.height);
    }
    const label = maps ? `Evidence for ${this.header.classes[this.chosen].label}` : "The image again";
    this.part("over").setAttribute("aria-label", label);
    this.part("caption").textContent = maps ? label : "";
    this.part("opacity-value").textContent = `${Math.round(100 * this.opacity)} %`;
    this.part("threshold-value").textContent = `${Math.round(100 * this.threshold)} % of the scale`;
  }

  // The map covers the square that the image was padded to.
  overlay(context, image, maps) {
    const length = maps.width * maps.height;
    const start = maps.at + 4 * length * this.chosen;
    const values = new Float32Array(this.body.slice(start, start + 4 * length).buffer);
    const raster = mapRaster(values, maps.width, maps.height, maps.tops[this.chosen], this.threshold);
    const side = Math.max(image.width, image.height);
    const scale = context.canvas.width / image.width;
    context.globalAlpha = this.opacity;
    context.imageSmoothingEnabled = true;
    context.drawImage(
      raster, -scale * Math.floor((side - image.width) / 2), -scale * Math.floor((side - image.height) / 2),
      scale * side, scale * side,
    );
    context.globalAlpha = 1;
  }

  close() {
    window.removeEventListener("resize", this.onResize);
  }
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".room-case");
  root.view ||= new CaseView(root);
  root.view.update(data);
  return () => {
    root.view.close();
    delete root.view;
  };
}
