// What the page holds: cases decoded when they are looked at, and evidence summed over grids.

const content = JSON.parse(document.getElementById("content").textContent);
const { width: WIDTH, height: HEIGHT } = content;
// Every slit spans the height: one row of pixels tells all of it.
const ROWS = content.strip ? 1 : HEIGHT;
const CELLS = content.grids.reduce((sum, grid) => sum + grid.boxes.length / 4, 0);

content.grids.reduce((start, grid) => {
  grid.start = start;
  return start + grid.boxes.length / 4;
}, 0);

// The grids of each group; a position on the grid slider is the same grid in every group.
const gridsOf = new Map(
  content.groups.map((group) => [group, content.grids.filter((grid) => grid.group === group)]),
);
const positions = gridsOf.get(content.groups[0]).map((grid) => grid.name);

/** Which cell of a grid each pixel lies in. */
function cellsOf(grid) {
  if (!grid.cells) {
    grid.cells = new Int32Array(WIDTH * ROWS);
    for (let cell = 0; cell < grid.boxes.length / 4; cell++) {
      const [top, bottom, left, right] = boxOf(grid, cell);
      for (let y = top; y < Math.min(bottom, ROWS); y++) {
        grid.cells.fill(cell, y * WIDTH + left, y * WIDTH + right);
      }
    }
  }
  return grid.cells;
}

function boxOf(grid, cell) {
  return grid.boxes.slice(4 * cell, 4 * cell + 4);
}

const decoded = new Map();

/** The picture and the values of a case; those of the last few cases are kept. */
function decodeCase(number) {
  if (!decoded.has(number)) {
    const stored = JSON.parse(document.getElementById(`case-${number}`).textContent);
    const picture = new Image();
    picture.src = stored.picture;
    const bytes = Uint8Array.from(atob(stored.values), (letter) => letter.charCodeAt(0));
    const ready = picture.decode();
    ready.catch(() => {}); // Told where the case is shown.
    decoded.set(number, { picture, ready, values: new Int16Array(bytes.buffer), maps: new Map() });
    if (decoded.size > 12) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(number);
}

/**
 * What is said for and against a class, pixel by pixel.
 *
 * `position` is 0 for all grids of the group mixed, else one grid. `gain` and `loss` are shares of
 * `scale`, clipped at 1 grid by grid; `value` is the weighted sum of score changes itself.
 */
function evidenceOf(number, slot, group, position, scale) {
  const { maps, values } = decodeCase(number);
  const key = `${slot}/${group}/${position}/${scale}`;
  if (!maps.has(key)) {
    const size = WIDTH * ROWS;
    const [gain, loss, value] = [0, 0, 0].map(() => new Float32Array(size));
    const { unit } = content.cases[number];
    const grids = gridsOf.get(group);
    for (const grid of position ? [grids[position - 1]] : grids) {
      const weight = position ? 1 : grid.weight;
      const first = slot * CELLS + grid.start;
      const stored = values.subarray(first, first + grid.boxes.length / 4);
      const changes = new Float32Array(stored).map((each) => each * unit);
      const shares = changes.map((each) => weight * Math.max(-1, Math.min(1, each / scale)));
      const cells = cellsOf(grid);
      for (let pixel = 0; pixel < size; pixel++) {
        const cell = cells[pixel];
        const share = shares[cell];
        value[pixel] += weight * changes[cell];
        if (share >= 0) gain[pixel] += share;
        else loss[pixel] -= share;
      }
    }
    const found = { gain, loss, value };
    if (maps.size > 12) maps.clear(); // Sliders ask for many.
    maps.set(key, found);
  }
  return maps.get(key);
}

/** The square at a place of the pictures: the cell of one grid, or as large as the finest cell. */
function squareAt(x, y, position) {
  const grids = gridsOf.get(content.groups[0]);
  if (position) {
    const grid = grids[position - 1];
    return boxOf(grid, cellsOf(grid)[(content.strip ? 0 : y * WIDTH) + x]);
  }
  const finest = grids.reduce((a, b) => (b.boxes.length > a.boxes.length ? b : a));
  const [top, bottom, left, right] = boxOf(finest, 0);
  const [rows, columns] = [bottom - top, right - left];
  const first = (place, side, all) =>
    Math.max(0, Math.min(all - side, place - Math.floor(side / 2)));
  const [y0, x0] = [first(y, rows, HEIGHT), first(x, columns, WIDTH)];
  return [y0, y0 + rows, x0, x0 + columns];
}
