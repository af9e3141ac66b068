// Drawing: maps as colours, laid over pictures; hatching; traces of stretches of time.

// Hatched is what reaches this share of full colour.
const HATCHED = 0.25;
const MAGNIFIED = Math.max(1, Math.ceil(672 / Math.max(WIDTH, HEIGHT)));
const ROW_HEIGHT = 96;

function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

const mapCanvas = newCanvas(WIDTH, ROWS);
const maskCanvas = newCanvas(WIDTH, ROWS);
const hatchCanvas = newCanvas(1, 1);

/**
 * The map as pixels: `rgb` adds colours, so that red and blue give purple; in `signed` they cancel;
 * `conflict` shows in white what would. A clear map is the less opaque the darker it is.
 */
function colour(evidence, settings) {
  const { mixing, palette, clear } = settings;
  const white = [255, 255, 255];
  const [gain, loss] = mixing === "conflict" ? [white, white] : content.palettes[palette];
  const pixels = new ImageData(WIDTH, ROWS);
  const { data } = pixels;
  for (let pixel = 0, at = 0; pixel < evidence.value.length; pixel++, at += 4) {
    let up = evidence.gain[pixel];
    let down = evidence.loss[pixel];
    const both = Math.min(up, down);
    if (mixing === "signed") {
      up -= both;
      down -= both;
    } else if (mixing === "conflict") {
      up = down = both;
    }
    data[at] = up * gain[0] + down * loss[0];
    data[at + 1] = up * gain[1] + down * loss[1];
    data[at + 2] = up * gain[2] + down * loss[2];
    data[at + 3] = 255;
    if (clear) {
      const strength = Math.max(data[at], data[at + 1], data[at + 2], 1);
      for (let channel = 0; channel < 3; channel++) data[at + channel] *= 255 / strength;
      data[at + 3] = strength;
    }
  }
  return pixels;
}

/** Lay a map over what a canvas shows. */
function layOver(canvas, evidence, settings) {
  const context = canvas.getContext("2d");
  mapCanvas.getContext("2d").putImageData(colour(evidence, settings), 0, 0);
  context.imageSmoothingEnabled = false;
  context.globalAlpha = settings.opacity;
  context.drawImage(mapCanvas, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
  if (settings.hatching) {
    hatch(context, evidence, 1);
    hatch(context, evidence, -1);
  }
}

/** Hatch what speaks for a class upwards, and what speaks against it downwards. */
function hatch(context, evidence, sign) {
  const pixels = new ImageData(WIDTH, ROWS);
  for (let pixel = 0; pixel < evidence.value.length; pixel++) {
    if (sign * (evidence.gain[pixel] - evidence.loss[pixel]) > HATCHED) pixels.data[4 * pixel + 3] = 255;
  }
  maskCanvas.getContext("2d").putImageData(pixels, 0, 0);
  const { width, height } = context.canvas;
  Object.assign(hatchCanvas, { width, height });
  const lines = hatchCanvas.getContext("2d");
  lines.imageSmoothingEnabled = false;
  lines.drawImage(maskCanvas, 0, 0, width, height);
  lines.globalCompositeOperation = "source-in";
  lines.fillStyle = lines.createPattern(sign > 0 ? STRIPES.up : STRIPES.down, "repeat");
  lines.fillRect(0, 0, width, height);
  context.drawImage(hatchCanvas, 0, 0);
}

const STRIPES = { up: stripes(1), down: stripes(-1) };

function stripes(direction) {
  const side = 14;
  const canvas = newCanvas(side, side);
  const context = canvas.getContext("2d");
  context.strokeStyle = direction > 0 ? "rgba(255,255,255,.85)" : "rgba(0,0,0,.9)";
  context.lineWidth = 2;
  for (const shift of [-side, 0, side]) {
    context.moveTo(shift - 1, direction > 0 ? side + 1 : -1);
    context.lineTo(shift + side + 1, direction > 0 ? -1 : side + 1);
  }
  context.stroke();
  return canvas;
}

function drawPicture(canvas, picture) {
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

/** Traces of channels, light on nothing: each column is lit where a row of pixels is inked. */
function traceOf(picture, channels) {
  const source = newCanvas(picture.naturalWidth, picture.naturalHeight);
  const context = source.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const trace = new ImageData(WIDTH, ROW_HEIGHT);
  trace.data.fill(255);
  for (let pixel = 3; pixel < trace.data.length; pixel += 4) trace.data[pixel] = 0;
  for (const channel of channels) {
    const { data } = context.getImageData(0, channel * HEIGHT, WIDTH, HEIGHT);
    const paper = paperOf(data);
    for (let pixel = 0; pixel < WIDTH * HEIGHT; pixel++) {
      const row = Math.floor((Math.floor(pixel / WIDTH) * ROW_HEIGHT) / HEIGHT);
      const at = 4 * (row * WIDTH + (pixel % WIDTH)) + 3;
      trace.data[at] = Math.max(trace.data[at], Math.abs(data[4 * pixel] - paper));
    }
  }
  const canvas = newCanvas(WIDTH, ROW_HEIGHT);
  canvas.getContext("2d").putImageData(trace, 0, 0);
  return canvas;
}

/** The value of what is not inked: black or white, whichever most pixels are nearer to. */
function paperOf(data) {
  let light = 0;
  for (let at = 0; at < data.length; at += 4) light += data[at] > 127 ? 1 : -1;
  return light > 0 ? 255 : 0;
}
