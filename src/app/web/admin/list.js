// A table that is brought up to date row by row, so that focus and what is unfolded stay; on a phone each row is a card.

import { h } from "./dom.js";

/**
 * A column: `name`, `value(row)` (what it depends on, as text or number) and, where that is not what is shown, `show(row)`.
 * A fresh list shows nothing until `update`.
 */
export class List {
  #rows = new Map();

  constructor(place, label, columns, key, empty) {
    Object.assign(this, { columns, key, empty });
    const head = h("tr", { role: "row" }, columns.map((column) => h("th", { role: "columnheader", scope: "col", class: column.number ? "number" : "" }, column.name || h("span", { class: "unseen" }, "Actions"))));
    this.body = h("tbody", { role: "rowgroup" });
    this.table = h("table", { class: "list", role: "table", "aria-label": label }, h("thead", { role: "rowgroup" }, head), this.body);
    this.none = h("p", { class: "empty muted", hidden: true }, empty);
    place.replaceChildren(this.table, this.none);
  }

  update(rows) {
    const before = this.#rows;
    this.#rows = new Map();
    for (const row of rows) {
      const key = String(this.key(row));
      const known = before.get(key) ?? this.#make();
      before.delete(key);
      this.#rows.set(key, known);
      this.#fill(known, row);
    }
    for (const { element } of before.values()) element.remove();
    // Only what stands elsewhere is moved: moving takes the focus away.
    let next = this.body.firstChild;
    for (const { element } of this.#rows.values()) {
      if (element === next) next = next.nextSibling;
      else this.body.insertBefore(element, next);
    }
    this.table.hidden = rows.length === 0;
    this.none.hidden = rows.length > 0;
  }

  #make() {
    const cells = this.columns.map((column) => h("td", { role: "cell", class: column.number ? "number" : "", data: { name: column.name } }));
    return { element: h("tr", { role: "row" }, cells), cells, values: [] };
  }

  #fill(known, row) {
    this.columns.forEach((column, index) => {
      const value = column.value(row);
      if (known.values[index] === value) return;
      known.values[index] = value;
      known.cells[index].replaceChildren(column.show ? column.show(row) : String(value ?? "–"));
    });
  }
}
