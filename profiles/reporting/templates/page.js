"use strict";
(() => {
  // Rows of a long table that are shown at once, and rows that need no filter.
  const PAGE = 100;
  const FEW = 8;
  const NUMBER = /^\(?[-+]?(\d[\d,]*\.?\d*|\.\d+)(e[-+]?\d+)?/i;
  const words = new Intl.Collator("en", { numeric: true });

  function make(tag, properties, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  // Tables: sorted by the buttons in their heads; long ones are paged and filtered too.

  function readNumber(text) {
    const found = NUMBER.exec(text);
    return found ? parseFloat(found[0].replace(/[(,]/g, "")) : NaN;
  }

  class Sheet {
    constructor(table) {
      this.table = table;
      this.body = table.tBodies[0];
      this.rows = [...this.body.rows];
      this.heads = [...table.tHead.rows[0].cells];
      this.long = table.classList.contains("long");
      this.limit = this.long ? PAGE : Infinity;
      this.shown = this.rows;
      this.texts = new Map();
      this.heads.forEach((head, column) => this.addButton(head, column));
      this.filtered = this.long
        || (this.rows.length > FEW && this.heads.some((head) => head.hasAttribute("data-choose")));
      if (this.filtered) {
        this.addControls();
        this.show();
      }
      if (this.long) {
        table.classList.add("ready");
        window.addEventListener("beforeprint", () => this.body.replaceChildren(...this.shown));
        window.addEventListener("afterprint", () => this.show());
      }
    }

    addButton(head, column) {
      const button = make("button", { type: "button", textContent: head.textContent });
      button.addEventListener("click", () => this.sort(column));
      head.replaceChildren(button);
    }

    sort(column) {
      const head = this.heads[column];
      const falling = head.getAttribute("aria-sort") === "ascending";
      this.heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const numeric = head.classList.contains("n");
      const keys = new Map(this.rows.map((row) => {
        const text = row.cells[column].textContent;
        return [row, numeric ? readNumber(text) : text];
      }));
      const sign = falling ? -1 : 1;
      this.rows.sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        if (!numeric) return sign * words.compare(x, y);
        // What has no number is last either way.
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return sign * (x - y);
      });
      this.filter();
    }

    addControls() {
      const box = make("div", { className: "controls" });
      this.search = make("input", { type: "search", autocomplete: "off" });
      this.search.addEventListener("input", () => this.filterSoon());
      box.append(this.label("Filter rows by words", this.search, "words"));
      this.choices = [];
      this.heads.forEach((head, column) => {
        if (!head.hasAttribute("data-choose")) return;
        const values = [...new Set(this.rows.map((row) => row.cells[column].textContent))];
        if (values.length < 2) return;
        const select = make("select", {}, make("option", { value: "", textContent: "all" }));
        for (const value of values.sort(words.compare)) {
          select.append(make("option", { value, textContent: value }));
        }
        select.addEventListener("change", () => this.filter(true));
        this.choices.push([column, select]);
        box.append(this.label(head.textContent, select, column));
      });
      this.count = make("span", { role: "status" });
      this.more = make("button", { type: "button", className: "plain", textContent: "Show all" });
      this.more.addEventListener("click", () => { this.limit = Infinity; this.show(); });
      const line = make("p", { className: "count" }, this.count, this.more);
      this.table.closest(".table").before(box, line);
    }

    label(text, control, name) {
      control.id = `${this.table.id}-by-${name}`;
      return make("div", {}, make("label", { htmlFor: control.id, textContent: text }), control);
    }

    filterSoon() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.filter(true), 120);
    }

    filter(anew = false) {
      if (anew && this.long) this.limit = PAGE;
      const wanted = this.search ? this.search.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
      const chosen = (this.choices || []).filter(([, select]) => select.value);
      this.shown = this.rows.filter((row) => {
        if (chosen.some(([column, select]) => row.cells[column].textContent !== select.value)) {
          return false;
        }
        if (!wanted.length) return true;
        return wanted.every((word) => this.read(row).includes(word));
      });
      this.show();
    }

    // What a row says, with its cells apart, so that no word is of two of them.
    read(row) {
      if (!this.texts.has(row)) {
        const cells = [...row.cells].map((cell) => cell.textContent);
        this.texts.set(row, cells.join(" ").toLowerCase());
      }
      return this.texts.get(row);
    }

    show() {
      const page = this.shown.slice(0, this.limit);
      this.body.replaceChildren(...page);
      if (!this.filtered) return;
      const all = this.rows.length, found = this.shown.length;
      const of = found === all ? `${all} rows` : `${found} of ${all} rows match`;
      this.count.textContent = page.length < found ? `${of}, the first ${page.length} shown` : of;
      this.more.hidden = page.length >= found;
    }
  }

  document.querySelectorAll(".table > table").forEach((table) => {
    const folded = table.closest(".chart details");
    if (!folded) {
      new Sheet(table);
      return;
    }
    folded.addEventListener("toggle", function prepare() {
      if (!folded.open) return;
      folded.removeEventListener("toggle", prepare);
      new Sheet(table);
    });
  });

  // Colours: those of the page, which follow the system unless they are chosen.

  const probe = make("span", { hidden: true });
  document.body.append(probe);

  function findColour(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  const themes = ["system", "light", "dark"];
  const toggle = make("button", { type: "button", id: "theme", className: "plain" });
  function chooseTheme(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    toggle.textContent = `Colours: ${theme}`;
    toggle.value = theme;
    drawn.forEach((chart) => chart.draw());
  }
  toggle.addEventListener("click", () => {
    chooseTheme(themes[(themes.indexOf(toggle.value) + 1) % themes.length]);
  });
  document.querySelector("header").append(toggle);

  // Charts: drawn when they come into view, by Plotly, which is unpacked for the first of them.

  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
  const LINES = ["solid", "dashdot", "longdash"];
  const LOOKS = 6;
  const drawn = new Set();
  let plotly = null;

  async function unpack() {
    const packed = Uint8Array.from(
      atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(make("script", { textContent: await new Response(stream).text() }));
    return window.Plotly;
  }

  function style(trace) {
    const look = trace.meta.look;
    const isBackend = typeof look === "number";
    const colour = isBackend ? findColour(`look-${look % LOOKS}`)
      : findColour(look === "roof" ? "text" : "quiet");
    const marker = { size: 7, color: colour, ...trace.marker };
    if (isBackend) {
      const own = SYMBOLS[(look + Math.floor(look / LOOKS)) % SYMBOLS.length];
      const given = [].concat(trace.marker ? trace.marker.symbol : "circle");
      marker.symbol = given.map((symbol) => symbol.replace("circle", own));
      if (marker.symbol.length === 1) marker.symbol = marker.symbol[0];
      marker.line = { color: colour, width: 1.5 };
    }
    const dash = isBackend ? LINES[Math.floor(look / LOOKS) % LINES.length] : "solid";
    const styled = { ...trace, marker, line: { dash, ...trace.line, color: colour, width: 2 } };
    if (trace.error_y) styled.error_y = { ...trace.error_y, color: colour, thickness: 1.2, width: 3 };
    return styled;
  }

  class Chart {
    constructor(figure) {
      this.box = figure.querySelector(".plot");
      this.source = figure.querySelector('script[type="application/json"]');
      this.box.hidden = false;
      figure.querySelector("details").open = false;
    }

    async draw() {
      plotly = plotly || unpack();
      const Plotly = await plotly;
      this.data = this.data || JSON.parse(this.source.textContent);
      const text = findColour("text"), line = findColour("line"), page = findColour("page");
      const dressAxis = (axis) => ({
        gridcolor: line, linecolor: line, zeroline: false, automargin: true, ...axis,
      });
      const layout = {
        paper_bgcolor: page, plot_bgcolor: page, font: { color: text, size: 12 },
        margin: { l: 50, r: 10, t: 10, b: 40 }, autosize: true, hovermode: "closest",
        legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", font: { size: 11 } },
        ...this.data.layout,
        xaxis: dressAxis(this.data.layout.xaxis), yaxis: dressAxis(this.data.layout.yaxis),
      };
      const settings = { displaylogo: false, responsive: true, displayModeBar: "hover" };
      await Plotly.react(this.box, this.data.traces.map(style), layout, settings);
      this.box.dataset.drawn = "yes";
    }
  }

  function watch(figures) {
    const charts = new Map(figures.map((figure) => [figure, new Chart(figure)]));
    const start = (figure) => {
      const chart = charts.get(figure);
      if (drawn.has(chart)) return Promise.resolve();
      drawn.add(chart);
      return chart.draw();
    };
    const observer = new IntersectionObserver((entries) => {
      entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
        observer.unobserve(entry.target);
        start(entry.target);
      });
    }, { rootMargin: "300px" });
    figures.forEach((figure) => observer.observe(figure));
    // What was not in view yet is drawn for the printer if there is time; its figures are there
    // anyway.
    window.addEventListener("beforeprint", () => {
      figures.forEach((figure) => {
        if (!drawn.has(charts.get(figure))) figure.querySelector("details").open = true;
      });
    });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    drawn.forEach((chart) => chart.draw());
  });
  chooseTheme("system");
  if (document.getElementById("plotly") && "DecompressionStream" in window) {
    watch([...document.querySelectorAll("figure.chart")]);
  }
})();
