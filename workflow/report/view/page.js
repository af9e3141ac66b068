// The page itself: settings, keys, pointer, verdicts, and what is said about a case.

const byId = (name) => document.getElementById(name);
// Windows wider than this have room for the list beside the pictures (see page.css).
const WIDE = 1000;
const settings = {
  position: 0,
  opacity: 0.5,
  brightness: 2,
  mixing: content.mix,
  scale: "image",
  palette: "red_blue",
  clear: false,
  hatching: false,
};

/** The score change that has full colour. */
function scaleNow() {
  const scale = settings.scale === "image" ? content.cases[current].scale : content.scale;
  return scale / settings.brightness;
}

/** Show a case; what comes next is decoded ahead. */
async function showCase(number) {
  current = number;
  selectEntry(number);
  const record = decodeCase(number);
  describeCase(number);
  try {
    await record.ready;
  } catch {
    byId("broken").hidden = false;
    return;
  }
  if (current !== number) return; // Somebody is faster than the pictures.
  byId("broken").hidden = true;
  if (content.strip && !record.traces) {
    record.traces = {};
    for (const group of content.groups.filter(hasTrace)) {
      record.traces[group] = traceOf(record.picture, gridsOf.get(group)[0].channels);
    }
  }
  nameTiles(number);
  redraw();
  arrange();
  document.body.dataset.shown = number;
  const at = listed.indexOf(number);
  for (const next of [listed[at + 1], listed[at - 1]]) {
    if (next !== undefined) setTimeout(() => decodeCase(next));
  }
}

function redraw() {
  const scale = scaleNow();
  drawTiles(current, settings, scale);
  tellPlace(current, settings, scale);
  const decimals = decimalsFor(scale) - 1;
  byId("full").textContent = `+${scale.toFixed(decimals)}`;
  byId("low").textContent = `−${scale.toFixed(decimals)}`;
  const largest = content.cases[current].scale;
  byId("magnified").hidden = content.score !== "probability" || largest >= 0.02;
  byId("largest").textContent = largest.toFixed(decimalsFor(largest) - 1);
}

function describeCase(number) {
  const each = content.cases[number];
  const outcome = outcomeOf(number);
  byId("example").textContent = each.example;
  byId("position").textContent = `${listed.indexOf(number) + 1 || "–"} / ${listed.length}`;
  const facts = [
    ["Label", className(each.label)],
    ["Predicted", `${className(each.predicted)}, ${percent(each.scores[0])}`],
    ["Outcome", outcome],
    ["Patient", each.patient],
    ["Site", each.site],
    ["Fold", each.fold],
    ["Chosen", each.drawn ? "" : "extreme"],
  ];
  byId("facts").replaceChildren(
    ...facts
      .filter(([, text]) => text !== "")
      .map(([name, text]) => {
        const fact = element("div", `fact ${name === "Outcome" ? outcome : ""}`);
        fact.append(element("dt", "", name), element("dd"));
        const told = name === "Outcome" ? `${MARKS[outcome]} ${text}` : text;
        fact.lastChild.append(element("bdi", "", told));
        return fact;
      }),
  );
  const chance = byId("chance");
  if (chance) chance.hidden = !content.sets[each.set].chance;
  showReading();
}

function showReading() {
  const { verdict, remark } = readingOf(current);
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.choice === verdict));
  }
  if (byId("remark").value !== remark) byId("remark").value = remark;
  const said = Object.values(readings.cases).map((reading) => reading.verdict);
  const counts = VERDICTS.map((each) => `${said.filter((one) => one === each).length} ${each}`);
  const read = said.filter(Boolean).length;
  byId("progress").textContent = `${read} of ${content.cases.length} read: ${counts.join(", ")}`;
  byId("lost").hidden = stored;
}

function giveVerdict(verdict) {
  note(current, { verdict: readingOf(current).verdict === verdict ? "" : verdict });
  markEntry(current);
  showReading();
  byId("live").textContent = readingOf(current).verdict || "no verdict";
}

function step(by) {
  if (!listed.length) return;
  const at = listed.indexOf(current);
  const next = at < 0 ? 0 : Math.max(0, Math.min(listed.length - 1, at + by));
  if (listed[next] !== current) showCase(listed[next]);
}

function filterCases() {
  listCases();
  if (!listed.length) return;
  if (listed.includes(current)) {
    selectEntry(current);
    describeCase(current);
  } else {
    showCase(listed[0]);
  }
}

function arrange() {
  const { paddingLeft, paddingTop } = getComputedStyle(stage);
  const width = stage.clientWidth - 2 * parseFloat(paddingLeft);
  const height = stage.clientHeight - 2 * parseFloat(paddingTop);
  arrangeTiles(width, height - byId("legend").offsetHeight);
}

function setSetting(name, value) {
  settings[name] = value;
  byId("opacity-value").textContent = `${Math.round(100 * settings.opacity)} %`;
  byId("brightness-value").textContent = `× ${settings.brightness}`;
  const grid = settings.position ? positions[settings.position - 1] : "mixed";
  byId("grid-value").textContent = grid;
  byId("grid").setAttribute("aria-valuetext", grid);
  byId("mixing").disabled = settings.position > 0;
  document.body.dataset.palette = settings.palette;
  if (current >= 0) redraw();
}

function movePlace(event) {
  const frame = event.target.closest?.(".frame");
  if (!frame) return;
  const { left, top, width, height } = frame.getBoundingClientRect();
  const inside = (share, all) => Math.max(0, Math.min(all - 1, Math.floor(share * all)));
  place = {
    x: inside((event.clientX - left) / width, WIDTH),
    y: inside((event.clientY - top) / height, HEIGHT),
  };
  tellPlace(current, settings, scaleNow());
}

/** Move the square by one cell, and say aloud what is told there. */
function stepPlace(across, down) {
  const finest = settings.position || positions.length;
  const grid = gridsOf.get(content.groups[0])[finest - 1];
  const [top, bottom, left, right] = boxOf(grid, 0);
  place = place
    ? {
        x: Math.max(0, Math.min(WIDTH - 1, place.x + across * (right - left))),
        y: Math.max(0, Math.min(HEIGHT - 1, place.y + down * (bottom - top))),
      }
    : { x: WIDTH >> 1, y: HEIGHT >> 1 };
  byId("live").textContent = tellPlace(current, settings, scaleNow());
}

function hidePlace() {
  place = null;
  tellPlace(current, settings, scaleNow());
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  j: () => step(1),
  k: () => step(-1),
  1: () => giveVerdict("agree"),
  2: () => giveVerdict("disagree"),
  3: () => giveVerdict("unsure"),
  r: () => byId("remark").focus(),
  "/": () => {
    openList(true);
    filters.search.focus();
  },
  l: () => openList(!document.body.classList.contains("listed")),
  "?": () => byId("help").showModal(),
  Escape: hidePlace,
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const { target, key } = event;
  if (target.matches("input:not([type=range], [type=checkbox]), textarea")) {
    if (key === "Escape") target.blur();
    return;
  }
  // Arrow keys and letters belong to sliders and menus.
  if (target.matches("select") || (target.matches("input") && key in ARROWS)) return;
  let action = KEYS[key.length === 1 ? key.toLowerCase() : key];
  if (event.shiftKey && key in ARROWS) action = () => stepPlace(...ARROWS[key]);
  else if (target === list && key === "ArrowDown") action = () => step(1);
  else if (target === list && key === "ArrowUp") action = () => step(-1);
  else if (target === list && key === "Home") action = () => step(-listed.length);
  else if (target === list && key === "End") action = () => step(listed.length);
  if (!action) return;
  event.preventDefault();
  action();
}

function openList(open) {
  document.body.classList.toggle("listed", open);
  byId("toggle").setAttribute("aria-expanded", String(open));
  if (current >= 0) arrange();
}

function describePage() {
  const { sets, score, fill } = content;
  const values = (name) => [...new Set(sets.map((each) => each[name]))].filter(Boolean);
  const about = [
    ["arm", values("arm")],
    ["split", values("split")],
    ["seed", values("seed")],
    [values("fold").length > 1 ? "folds" : "fold", values("fold")],
  ]
    .filter(([, found]) => found.length)
    .map(([name, found]) => `${name} ${found.join(", ")}`);
  byId("about").textContent = about.join(" · ");
  byId("score-name").textContent = score ? `change of ${score.replaceAll("_", " ")}` : "change";
  byId("fill-name").textContent = fill || "one colour";
  for (const each of document.querySelectorAll("[data-only]")) {
    each.hidden = (each.dataset.only === "strip") !== content.strip;
  }
  document.body.classList.toggle("strip", content.strip);
}

function listen() {
  document.addEventListener("keydown", onKey);
  stage.addEventListener("pointermove", movePlace);
  stage.addEventListener("pointerdown", movePlace);
  stage.addEventListener("pointerleave", (event) => {
    // A finger leaves whenever it is lifted.
    if (event.pointerType === "mouse") hidePlace();
  });
  byId("grid").max = positions.length;
  byId("grid").addEventListener("input", (e) => setSetting("position", Number(e.target.value)));
  byId("opacity").addEventListener("input", (e) => setSetting("opacity", e.target.value / 100));
  byId("mixing").value = settings.mixing;
  for (const name of ["mixing", "scale", "palette"]) {
    byId(name).addEventListener("change", (e) => setSetting(name, e.target.value));
  }
  for (const name of ["hatching", "clear"]) {
    byId(name).addEventListener("change", (e) => setSetting(name, e.target.checked));
  }
  byId("brightness").addEventListener("input", (e) => {
    setSetting("brightness", Number(e.target.value));
  });
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.addEventListener("click", () => giveVerdict(button.dataset.choice));
  }
  byId("remark").addEventListener("input", (event) => {
    note(current, { remark: event.target.value });
    showReading();
  });
  byId("reader").value = readings.reader;
  byId("reader").addEventListener("input", (event) => {
    readings.reader = event.target.value;
    keepReadings();
  });
  byId("csv").addEventListener("click", () => {
    download(asCsv(exportedLines()), "text/csv;charset=utf-8", "csv");
  });
  byId("json").addEventListener("click", () => {
    download(asJson(exportedLines()), "application/json", "json");
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("toggle").addEventListener("click", () => KEYS.l());
  byId("shade").addEventListener("click", () => openList(false));
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  for (const filter of Object.values(filters)) filter.addEventListener("input", filterCases);
  list.addEventListener("click", (event) => {
    const entry = event.target.closest("li");
    if (!entry) return;
    showCase(Number(entry.dataset.number));
    if (innerWidth <= WIDE) openList(false); // There, it covers the pictures.
  });
  addEventListener("resize", arrange);
  addEventListener("beforeunload", (event) => {
    if (!stored && Object.keys(readings.cases).length) event.preventDefault();
  });
}

loadReadings();
describePage();
fillFilters();
listen();
setSetting("position", 0);
openList(innerWidth > WIDE);
listCases();
showCase(0);
