// A reader's verdicts: kept in memory and, where the browser allows it, from one visit to the next.

const VERDICTS = ["agree", "disagree", "unsure"];
const KEY = `dida-view:${content.page}`;
const readings = { reader: "", cases: {} };
let stored = true; // Whether the browser keeps what is said.

function loadReadings() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) || "{}");
    if (typeof found.reader === "string") readings.reader = found.reader;
    for (const [number, reading] of Object.entries(found.cases || {})) {
      if (content.cases[number] && reading) readings.cases[number] = reading;
    }
    localStorage.setItem(KEY, JSON.stringify(readings));
  } catch {
    stored = false;
  }
}

function keepReadings() {
  try {
    localStorage.setItem(KEY, JSON.stringify(readings));
    stored = true;
  } catch {
    stored = false;
  }
}

function readingOf(number) {
  return readings.cases[number] || { verdict: "", remark: "", time: "" };
}

/** Note a verdict or a remark; a case of which nothing is said any more is forgotten. */
function note(number, change) {
  const reading = { ...readingOf(number), ...change, time: new Date().toISOString() };
  if (reading.verdict || reading.remark) readings.cases[number] = reading;
  else delete readings.cases[number];
  keepReadings();
}

/** What is exported: one line for each case of which something is said. */
function exportedLines() {
  return Object.keys(readings.cases)
    .map(Number)
    .sort((a, b) => a - b)
    .map((number) => {
      const { set, shown, scores, ...each } = content.cases[number];
      const { verdict, remark, time } = readings.cases[number];
      const { arm, split, seed } = content.sets[set];
      return {
        reader: readings.reader,
        ...{ arm, split, seed, fold: each.fold, example: each.example, patient: each.patient },
        site: each.site,
        label: each.label < 0 ? "" : content.classes[each.label],
        predicted: content.classes[each.predicted],
        score: scores[0],
        outcome: outcomeOf(number),
        chosen: each.drawn ? "by chance" : "as extreme",
        ...{ verdict, remark, time },
      };
    });
}

function outcomeOf(number) {
  const { label, predicted } = content.cases[number];
  return label < 0 ? "unknown" : label === predicted ? "right" : "wrong";
}

/** A field of a CSV file: quoted, and no formula to a spreadsheet that opens it. */
function csvField(value) {
  if (typeof value === "number") return String(value);
  const text = /^\s*[=+\-@＝＋－＠\t\r\n]/.test(value) ? `'${value}` : value;
  return `"${text.replaceAll('"', '""')}"`;
}

function asCsv(lines) {
  const columns = [
    ...["reader", "arm", "split", "seed", "fold", "example", "patient", "site", "label"],
    ...["predicted", "score", "outcome", "chosen", "verdict", "remark", "time"],
  ];
  const rows = lines.map((line) => columns.map((column) => csvField(line[column])).join(","));
  // Spreadsheets read UTF-8 only behind a byte order mark.
  return `\ufeff${[columns.join(","), ...rows].join("\r\n")}\r\n`;
}

function asJson(lines) {
  const { page, title, score, fill, cases } = content;
  const about = { title, page, reader: readings.reader, score, fill, cases: cases.length };
  return `${JSON.stringify({ ...about, readings: lines }, null, 2)}\n`;
}

function download(text, type, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  const reader = readings.reader.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40);
  link.download = `verdicts-${content.page}${reader ? `-${reader}` : ""}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
