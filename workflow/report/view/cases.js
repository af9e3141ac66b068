// The list of cases: filtered, sorted and walked through.

const list = document.getElementById("cases");
const entries = []; // An entry of the list for each case, made when it is first listed.
let listed = []; // Numbers of the cases that pass the filters, in their order.
let current = -1;

const filters = Object.fromEntries(
  ["search", "outcome", "label", "predicted", "fold", "verdict", "order"].map((name) => [
    name,
    document.getElementById(name),
  ]),
);

const MARKS = { right: "✓", wrong: "✗", unknown: "?" };
const VERDICT_MARKS = { agree: "agree", disagree: "disagree", unsure: "unsure" };

function className(number) {
  return number < 0 ? "not known" : content.classes[number];
}

const byText = new Intl.Collator(undefined, { numeric: true }).compare;
const ORDERS = {
  file: (a, b) => a - b,
  name: (a, b) => byText(content.cases[a].example, content.cases[b].example),
  sure: (a, b) => content.cases[b].scores[0] - content.cases[a].scores[0],
  unsure: (a, b) => content.cases[a].scores[0] - content.cases[b].scores[0],
  entropy: (a, b) => content.cases[b].entropy - content.cases[a].entropy,
  conflict: (a, b) => content.cases[b].conflict - content.cases[a].conflict,
};

function passes(number) {
  const each = content.cases[number];
  const search = filters.search.value.trim().toLowerCase();
  const wanted = (name, value) => filters[name].value === "" || filters[name].value === value;
  return (
    each.example.toLowerCase().includes(search) &&
    wanted("outcome", outcomeOf(number)) &&
    wanted("label", String(each.label)) &&
    wanted("predicted", String(each.predicted)) &&
    wanted("fold", `fold ${each.fold}`) &&
    wanted("verdict", readingOf(number).verdict || "none")
  );
}

function entryOf(number) {
  if (!entries[number]) {
    const each = content.cases[number];
    const entry = element("li");
    entry.id = `entry-${number}`;
    entry.dataset.number = number;
    entry.setAttribute("role", "option");
    const outcome = outcomeOf(number);
    const mark = element("span", `mark ${outcome}`, MARKS[outcome]);
    mark.setAttribute("aria-label", outcome);
    mark.setAttribute("role", "img");
    const name = element("bdi", "example", each.example);
    name.title = each.example;
    const classes = element("span", "classes");
    classes.append(element("bdi", "", className(each.label)));
    if (outcome === "wrong") classes.append(" → ", element("bdi", "", className(each.predicted)));
    classes.append(` · ${percent(each.scores[0])}`);
    entry.append(mark, name, element("span", "verdict"), classes);
    entries[number] = entry;
    markEntry(number);
  }
  return entries[number];
}

function markEntry(number) {
  const { verdict } = readingOf(number);
  const mark = entries[number]?.querySelector(".verdict");
  if (mark) {
    mark.textContent = VERDICT_MARKS[verdict] || "";
    mark.dataset.verdict = verdict;
  }
}

/** List the cases that pass; the one shown stays, where it is among them. */
function listCases() {
  listed = content.cases.map((_, number) => number).filter(passes);
  listed.sort((a, b) => ORDERS[filters.order.value](a, b) || a - b);
  list.replaceChildren(...listed.map(entryOf));
  document.getElementById("found").textContent =
    listed.length === content.cases.length
      ? `${listed.length} cases`
      : `${listed.length} of ${content.cases.length} cases`;
  document.getElementById("nothing").hidden = listed.length > 0;
}

function selectEntry(number) {
  list.querySelector('[aria-selected="true"]')?.removeAttribute("aria-selected");
  const entry = entryOf(number);
  entry.setAttribute("aria-selected", "true");
  if (entry.isConnected) {
    list.setAttribute("aria-activedescendant", entry.id);
    // Within the list alone: the page must not move.
    const above = entry.offsetTop - list.scrollTop;
    if (above < 0) list.scrollTop = entry.offsetTop;
    const below = above + entry.offsetHeight - list.clientHeight;
    if (below > 0) list.scrollTop += below;
  } else {
    list.removeAttribute("aria-activedescendant");
  }
}

function fillFilters() {
  const used = (name) => [...new Set(content.cases.map((each) => each[name]))];
  const offer = (select, values) => {
    for (const [value, text] of values) {
      const option = element("option", "", text);
      option.value = value;
      select.append(option);
    }
  };
  for (const name of ["label", "predicted"]) {
    const numbers = used(name).sort((a, b) => a - b);
    offer(filters[name], numbers.map((number) => [String(number), className(number)]));
  }
  const folds = used("fold").sort(byText);
  offer(filters.fold, folds.map((fold) => [`fold ${fold}`, fold]));
  filters.fold.closest("label").hidden = folds.length < 2;
}
