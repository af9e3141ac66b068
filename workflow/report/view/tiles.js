// The pictures of a case side by side, and the square that follows the pointer in all of them.

const stage = document.getElementById("stage");
const tileGrid = document.getElementById("tiles");
const TILES = content.cases.reduce((most, each) => Math.max(most, each.shown.length), 0) + 1;
let place = null; // Where the square is: {x, y} in pixels of the picture.

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** One tile: the original first, then one for each class shown. */
function makeTile(isOriginal) {
  const tile = element("figure", isOriginal ? "tile original" : "tile");
  const caption = element("figcaption");
  const name = element("bdi", "name");
  const chips = element("span", "chips");
  caption.append(name, chips);
  tile.append(caption);
  const groups = content.strip && isOriginal ? content.groups.filter(hasTrace) : content.groups;
  const frames = groups.map((group) => makeFrame(tile, group, isOriginal));
  const score = element("span", "score");
  (content.strip ? caption : frames[0].box).append(score);
  if (content.strip) tile.append(timeAxis());
  tileGrid.append(tile);
  return { tile, name, chips, score, frames, slot: -1 };
}

/** Whether a group of slits has a trace of its own: all but the one of all signals. */
function hasTrace(group) {
  return group !== content.whole;
}

function makeFrame(tile, group, isOriginal) {
  const row = element("div", "row");
  const box = element("div", "frame");
  const canvas = newCanvas(WIDTH * MAGNIFIED, content.strip ? ROW_HEIGHT : HEIGHT * MAGNIFIED);
  canvas.setAttribute("role", "img");
  const square = element("div", "square");
  square.hidden = true;
  box.append(canvas, square);
  if (content.strip) {
    row.append(element("bdi", "group", hasTrace(group) ? group : "all signals"));
    row.classList.add(hasTrace(group) ? "tall" : "low");
  }
  const value = element("output", "value");
  if (!isOriginal) value.append(element("span", "bar"), element("span", "number", "–"));
  row.append(box, value);
  tile.append(row);
  return { group, box, canvas, square, value };
}

function timeAxis() {
  const axis = element("div", "axis");
  const line = element("div", "ticks");
  const minutes = content.minutes || 0;
  const step = [1, 2, 5, 10, 15, 30, 60].find((each) => minutes / each <= 8) || 120;
  for (let at = 0; minutes && at <= minutes; at += step) {
    const tick = element("span", "tick", at + step > minutes ? `${at} min` : String(at));
    tick.style.left = `${(100 * at) / minutes}%`;
    line.append(tick);
  }
  axis.append(line);
  axis.setAttribute("aria-hidden", "true");
  return axis;
}

const tiles = Array.from({ length: TILES }, (_, number) => makeTile(number === 0));

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** How many decimals tell score changes of this scale apart. */
function decimalsFor(scale) {
  return Math.min(8, Math.max(3, Math.ceil(-Math.log10(scale)) + 2));
}

function signed(value, decimals) {
  const text = Math.abs(value).toFixed(decimals);
  return Number(text) === 0 ? text : (value < 0 ? "−" : "+") + text;
}

/** Name the tiles after a case; hide those that it has no class for. */
function nameTiles(number) {
  const each = content.cases[number];
  tiles.forEach((tile, index) => {
    const shown = each.shown[index - 1];
    tile.tile.hidden = index > each.shown.length;
    tile.slot = index - 1;
    if (tile.tile.hidden) return;
    tile.chips.replaceChildren();
    tile.name.textContent = index ? content.classes[shown] : "Original";
    if (index) {
      tile.score.textContent = percent(each.scores[index - 1]);
      if (shown === each.predicted) tile.chips.append(element("span", "chip", "predicted"));
      if (shown === each.label) tile.chips.append(element("span", "chip label", "label"));
    } else {
      tile.score.textContent = "";
    }
    tile.tile.dataset.class = index ? shown : "";
    for (const frame of tile.frames) {
      const where = content.strip ? `, ${frame.group}` : "";
      const name = index ? `Map for ${content.classes[shown]}${where}` : `Original${where}`;
      frame.canvas.setAttribute("aria-label", name);
    }
  });
}

/** Draw the tiles of a case; `scale` is the score change that has full colour. */
function drawTiles(number, settings, scale) {
  const { picture, traces } = decodeCase(number);
  for (const { tile, slot, frames } of tiles) {
    if (tile.hidden) continue;
    for (const { group, canvas } of frames) {
      if (content.strip) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
      else drawPicture(canvas, picture);
      if (slot >= 0) {
        const evidence = evidenceOf(number, slot, group, settings.position, scale);
        layOver(canvas, evidence, settings);
      }
      if (content.strip && hasTrace(group)) drawPicture(canvas, traces[group]);
    }
  }
}

/** Put the square at a place of all pictures, and tell what each class has there. */
function tellPlace(number, settings, scale) {
  const told = [];
  const box = place && squareAt(place.x, place.y, settings.position);
  if (content.strip) tellMinutes(box);
  for (const { tile, slot, frames, name } of tiles) {
    if (tile.hidden) continue;
    for (const { group, square, value } of frames) {
      square.hidden = !place;
      if (box) {
        const [top, bottom, left, right] = box;
        square.style.left = `${(100 * left) / WIDTH}%`;
        square.style.width = `${(100 * (right - left)) / WIDTH}%`;
        square.style.top = content.strip ? "0" : `${(100 * top) / HEIGHT}%`;
        square.style.height = content.strip ? "100%" : `${(100 * (bottom - top)) / HEIGHT}%`;
      }
      if (slot < 0) continue;
      const at = place && (content.strip ? 0 : place.y * WIDTH) + place.x;
      const change =
        place && evidenceOf(number, slot, group, settings.position, scale).value[at];
      const text = place ? signed(change, decimalsFor(scale)) : "–";
      value.lastChild.textContent = text;
      showBar(value.firstChild, place ? change / scale : 0);
      told.push(`${name.textContent}${content.strip ? ` ${group}` : ""} ${text}`);
    }
  }
  return told.join(", ");
}

/** The minutes of the slit beside the name of the original. */
function tellMinutes(box) {
  const minutes = (at) => ((at * content.minutes) / WIDTH).toFixed(1);
  const text = box && content.minutes ? `${minutes(box[2])} – ${minutes(box[3])} min` : "";
  tiles[0].score.textContent = text;
}

function showBar(bar, share) {
  const length = 50 * Math.min(1, Math.abs(share));
  bar.dataset.sign = share > 0 ? "for" : share < 0 ? "against" : "";
  bar.style.setProperty("--from", `${share < 0 ? 50 - length : 50}%`);
  bar.style.setProperty("--length", `${length}%`);
}

/** Make tiles as large as fit: in one line, or in several. */
function arrangeTiles(width, height) {
  const visible = tiles.filter(({ tile }) => !tile.hidden);
  if (content.strip) {
    const frames = visible.flatMap(({ frames }) => frames);
    const tall = frames.filter(({ group }) => hasTrace(group)).length;
    const rest = 60 * visible.length + 24 * (frames.length - tall);
    const row = Math.max(38, Math.min(90, (height - rest) / tall - 2));
    tileGrid.style.setProperty("--row", `${Math.floor(row)}px`);
    return;
  }
  const best = { side: 0, columns: 1 };
  for (let columns = 1; columns <= visible.length; columns++) {
    const lines = Math.ceil(visible.length / columns);
    const across = (width - 12 * (columns - 1)) / columns;
    const down = (((height - 12 * (lines - 1)) / lines - 62) * WIDTH) / HEIGHT;
    const side = Math.min(across, Math.max(down, 180));
    if (side > best.side + 1) Object.assign(best, { side, columns });
  }
  const side = Math.floor(best.side);
  tileGrid.style.gridTemplateColumns = `repeat(${best.columns}, minmax(0, ${side}px))`;
}
