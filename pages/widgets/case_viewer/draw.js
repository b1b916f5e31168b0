// Pictures of cases after unsealing: the image in the display that readers had, a class map over it, the lesion's edge.
// The colour tables and the window come from the reading panel's viewer.js, so that both show one picture.

// Header and body of the byte string that the server hands over: length (uint32, little endian), JSON, bytes.
function unpackCase(bytes) {
  const at = 4 + new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(4, at))), body: bytes.slice(at) };
}

// A canvas of the image's own size with its pixels in the display of the protocol.
function imageRaster(image, body) {
  const raster = document.createElement("canvas");
  raster.width = image.width;
  raster.height = image.height;
  const context = raster.getContext("2d");
  const shown = context.createImageData(image.width, image.height);
  const part = body.slice(image.at, image.at + (image.width * image.height * image.channels * image.bits) / 8);
  if (image.channels === 3) {
    for (let index = 0; index < image.width * image.height; index += 1) {
      shown.data.set(part.subarray(3 * index, 3 * index + 3), 4 * index);
      shown.data[4 * index + 3] = 255;
    }
  } else {
    const pixels = image.bits === 16 ? new Uint16Array(part.buffer) : part;
    const levels = levelsOf(pixels, image.display.lower, image.display.upper);
    const colours = packedColours(image.display.table, false);
    const packed = new Uint32Array(shown.data.buffer);
    for (let index = 0; index < levels.length; index += 1) packed[index] = colours[levels[index]];
  }
  context.putImageData(shown, 0, 0);
  return raster;
}

// Canvas of the size of a class map: inferno by evidence, nothing below the threshold; both are shares of `top`.
function mapRaster(values, width, height, top, threshold) {
  const raster = document.createElement("canvas");
  raster.width = width;
  raster.height = height;
  const context = raster.getContext("2d");
  const shown = context.createImageData(width, height);
  values.forEach((value, index) => {
    const share = Math.min(Math.max(value / top, 0), 1);
    const isSeen = share > 0 && share >= threshold;
    shown.data.set([...colourOf("inferno", Math.round(70 + 185 * share)), isSeen ? 255 : 0], 4 * index);
  });
  context.putImageData(shown, 0, 0);
  return raster;
}

// Fills a canvas of `side` CSS pixels with the raster, in proportion; returns where it lies.
function fit(canvas, raster, width, height, isSmooth) {
  const scale = Math.min(width / raster.width, height / raster.height);
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(raster.width * scale), Math.round(raster.height * scale)];
  canvas.width = Math.round(w * ratio);
  canvas.height = Math.round(h * ratio);
  canvas.style.width = `${w}px`;
  canvas.style.height = `${h}px`;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = isSmooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(raster, 0, 0, canvas.width, canvas.height);
  return context;
}

// The edge of a mask, on the pixels' own borders.
function drawOutline(context, mask, width, height) {
  const [sx, sy] = [context.canvas.width / width, context.canvas.height / height];
  const at = (row, column) => row >= 0 && column >= 0 && row < height && column < width && mask[row * width + column];
  const path = new Path2D();
  for (let row = 0; row <= height; row += 1) {
    for (let column = 0; column <= width; column += 1) {
      if (at(row, column) !== at(row - 1, column) && Boolean(at(row, column)) !== Boolean(at(row - 1, column))) {
        path.moveTo(column * sx, row * sy);
        path.lineTo((column + 1) * sx, row * sy);
      }
      if (Boolean(at(row, column)) !== Boolean(at(row, column - 1))) {
        path.moveTo(column * sx, row * sy);
        path.lineTo(column * sx, (row + 1) * sy);
      }
    }
  }
  for (const [style, lineWidth] of [["#000000", 4], ["#00c8ff", 2]]) {
    context.strokeStyle = style;
    context.lineWidth = lineWidth * (window.devicePixelRatio || 1) * 0.7;
    context.stroke(path);
  }
}

// Where readers marked a lesion: a cross on a dark rim in the reader's colour, with the reader's initials.
function drawMarks(context, marks, width) {
  const scale = context.canvas.width / width;
  const ratio = window.devicePixelRatio || 1;
  context.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const { x, y, colour, initials } of marks) {
    const [left, top, arm] = [x * scale, y * scale, 7 * ratio];
    for (const [style, lineWidth] of [["#000000", 5], [colour, 2.4]]) {
      context.strokeStyle = style;
      context.lineWidth = lineWidth * ratio;
      context.beginPath();
      context.moveTo(left - arm, top - arm);
      context.lineTo(left + arm, top + arm);
      context.moveTo(left + arm, top - arm);
      context.lineTo(left - arm, top + arm);
      context.stroke();
    }
    context.lineWidth = 3 * ratio;
    context.strokeStyle = "#000000";
    context.strokeText(initials, left + arm + 3 * ratio, top);
    context.fillStyle = "#ffffff";
    context.fillText(initials, left + arm + 3 * ratio, top);
  }
}
