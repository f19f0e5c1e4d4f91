"use strict";
(() => {
  const table = document.querySelector("table.all"), body = table.tBodies[0], rows = [...body.rows];
  const heads = [...table.tHead.rows[1].cells], words = 4;
  const form = document.querySelector(".bar form"), [search, least] = form.querySelectorAll("input");
  const measure = form.querySelector("select"), shown = form.querySelector("output");
  const number = (cell) => {
    const text = cell.textContent.replace(/[▲,]/g, "").trim().replace("−", "-");
    if (text === "∞") return Infinity;
    const value = parseFloat(text.replace(/^[<>]/, ""));
    return text[0] === "<" ? value / 2 : text[0] === ">" ? value + 1e-3 : value;
  };
  const count = () => {
    shown.value = `${rows.filter((row) => row.offsetParent !== null).length} of ${rows.length} shown`;
  };
  const filter = () => {
    const wanted = search.value.toLowerCase(), column = Number(measure.value), limit = parseFloat(least.value);
    for (const row of rows) {
      const low = column && !Number.isNaN(limit) && !(number(row.cells[column]) >= limit);
      const text = [...row.cells].slice(0, words).map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = low || !text.includes(wanted);
    }
    count();
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    if (column >= words) {
      const label = [...button.childNodes].map((node) => node.textContent).join(", ");
      measure.append(new Option(column >= 10 && column < 13 ? `${label}, as decided` : label, column));
    }
    button.addEventListener("click", () => {
      const down = head.hasAttribute("aria-sort") ? head.getAttribute("aria-sort") !== "descending" : column >= words;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => (column < words ? row.cells[column].textContent : number(row.cells[column]));
      const compare = ([a], [b]) =>
        column < words ? a.localeCompare(b, "en", { numeric: true }) * (down ? -1 : 1)
          : Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b)
          : a === b ? 0 : (a < b ? -1 : 1) * (down ? -1 : 1);
      body.append(...rows.map((row) => [key(row), row]).sort(compare).map((pair) => pair[1]));
    });
  });
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  addEventListener("hashchange", count);
  count();
})();
