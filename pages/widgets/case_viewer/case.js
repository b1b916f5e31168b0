// One case, large: every view as readers saw it, and beside them the view of a model with its map of one class.

class CaseView {
  constructor(root) {
    this.root = root;
    this.part = (name) => root.querySelector(`[data-part=${name}]`);
    this.chosen = 0;
    this.opacity = 0.55;
    this.threshold = 0.15;
    for (const name of ["opacity", "threshold"]) {
      this.part(name).addEventListener("input", (event) => {
        this[name] = Number(event.target.value) / 100;
        this.draw();
      });
      // A slider that keeps the focus would keep the arrow keys, which go from case to case.
      this.part(name).addEventListener("pointerup", (event) => event.target.blur());
    }
    for (const name of ["outline", "marks"]) {
      this.part(name).addEventListener("change", (event) => {
        event.target.blur();
        this.draw();
      });
    }
    this.onResize = () => this.draw();
    window.addEventListener("resize", this.onResize);
  }

  update(bytes) {
    const { header, body } = unpackCase(bytes);
    if (this.case !== header.case) this.chosen = header.first;
    this.case = header.case;
    this.header = header;
    this.body = body;
    this.chosen = Math.min(this.chosen, Math.max(header.classes.length - 1, 0));
    this.rasters = header.pictures.map(({ image }) => imageRaster(image, body));
    this.figures();
    this.buttons();
    const hasMaps = header.pictures.some(({ maps }) => maps);
    this.part("classes").hidden = !hasMaps;
    this.part("controls").hidden = !hasMaps;
    this.part("none").hidden = hasMaps;
    this.part("outline").closest("label").hidden = !header.pictures.some(({ mask }) => mask);
    this.part("marks").closest("label").hidden = !header.pictures.some(({ marks }) => marks.length);
    this.draw();
  }

  // A figure a picture: "plain" as readers saw it, "over" with a model's map.
  figures() {
    this.canvases = [];
    this.part("pictures").replaceChildren(...this.header.pictures.map(({ maps }) => {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.dataset.part = maps ? "over" : "plain";
      const caption = document.createElement("figcaption");
      figure.append(canvas, caption);
      this.canvases.push([canvas, caption]);
      return figure;
    }));
  }

  // One button a class: its name, and a star at the reference standard.
  buttons() {
    this.part("classes").replaceChildren(...this.header.classes.map((label, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
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
    const beside = this.header.pictures.length > 1 ? 2 : 1;
    const width = Math.max((this.root.clientWidth - 16 * (beside - 1)) / beside, 200);
    const height = Math.min(width, this.header.height);
    this.header.pictures.forEach(({ title, image, maps, mask, marks }, index) => {
      const [canvas, caption] = this.canvases[index];
      const context = fit(canvas, this.rasters[index], width, height, image.display.is_smooth);
      if (maps) this.overlay(context, image, maps);
      if (mask && this.part("outline").checked) {
        drawOutline(context, this.body.subarray(mask.at, mask.at + image.width * image.height), image.width, image.height);
      }
      if (this.part("marks").checked) drawMarks(context, marks, image.width);
      const label = maps ? `${title}: ${this.header.classes[this.chosen]} ${maps.told[this.chosen]}` : title;
      canvas.setAttribute("aria-label", [label, ...marks.map((mark) => `marked by ${mark.reader}`)].join(", "));
      caption.textContent = label;
    });
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
