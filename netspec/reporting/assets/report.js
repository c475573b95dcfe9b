"use strict";
// The graphs and pictures of a report. Texts become nodes with textContent, never markup.
(() => {
  const SMALLEST = 0.75, LARGEST = 4, COMFORTABLE = 1.15, STEP = 1.3, CLICK = 4;
  const MARGIN = 14;
  const PAGE = { width: 680, height: 900 }; // in pixels, what A4 and Letter have within margins
  const GAP = 3, PARTS = ".node, .edge";

  const all = (selector, within) => [...within.querySelectorAll(selector)];

  /** Return a new element with texts or elements in it. */
  function made(tag, ...children) {
    const element = document.createElement(tag);
    element.append(...children);
    return element;
  }

  function listOf(facts) {
    return made("dl", ...facts.flatMap(([name, value]) => [made("dt", name), made("dd", value)]));
  }

  // ------------------------------------------------------------------------------------ pictures

  function startPicture(picture) {
    function enlarge(isLarge) {
      picture.classList.toggle("enlarged", isLarge);
      picture.setAttribute("aria-expanded", isLarge);
    }
    const toggle = () => enlarge(!picture.classList.contains("enlarged"));
    picture.setAttribute("role", "button");
    enlarge(false);
    picture.addEventListener("click", toggle);
    picture.addEventListener("keydown", (event) => {
      if (event.key === "Escape") enlarge(false);
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault(); // a space would scroll the page
      toggle();
    });
  }

  // --------------------------------------------------------------------------------------- graph

  async function startGraph(graph) {
    const canvas = graph.querySelector(".canvas");
    const source = canvas.querySelector(".graph-source");
    if (source !== null) {
      performance.mark("layout begins");
      const viz = await Viz.instance();
      canvas.replaceChildren(viz.renderSVGElement(JSON.parse(source.textContent)));
      performance.measure("layout", "layout begins");
    }
    const data = JSON.parse(graph.querySelector(".graph-data").textContent);
    const svg = canvas.querySelector("svg");
    const nodes = named(svg, data.nodes);
    startZoom(graph, canvas, svg);
    startPrint(canvas, svg);
    const open = startRows(graph, canvas, data);
    startTip(graph.querySelector(".tip"), canvas, nodes);
    startSearch(graph, canvas, nodes, open);
    canvas.addEventListener("click", (event) => {
      const node = nodes.get(event.target.closest(".node, .cluster"));
      if (node !== undefined && node.rows.length) open(node);
    });
    graph.dataset.drawn = "yes";
    performance.mark("graph"); // the marks are for benchmarks/report.py
  }

  /** Return what each node of a drawing is. Titles, which browsers show, are replaced by it. */
  function named(svg, known) {
    const nodes = new Map();
    for (const group of all(".node, .cluster", svg)) {
      const node = known[group.querySelector("title")?.textContent];
      if (node !== undefined) {
        nodes.set(group, node);
        group.setAttribute("aria-label", `${node.title} ${node.text}`);
      }
    }
    for (const title of all("title", svg)) title.remove();
    return nodes;
  }

  function startZoom(graph, canvas, svg) {
    const { width, height } = svg.viewBox.baseVal;
    let zoom = 1;

    /** Change the zoom, and keep the point (x, y) of the canvas where it is. */
    function zoomTo(wanted, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
      const next = Math.min(Math.max(wanted, fitting() / 2, 0.1), LARGEST);
      const left = (canvas.scrollLeft + x) / zoom, top = (canvas.scrollTop + y) / zoom;
      zoom = next;
      svg.setAttribute("width", width * zoom);
      svg.setAttribute("height", height * zoom);
      canvas.scrollLeft = left * zoom - x;
      canvas.scrollTop = top * zoom - y;
    }
    function fitting() {
      return Math.min((canvas.clientWidth - 2 * MARGIN) / width, COMFORTABLE);
    }
    const actions = { in: () => zoom * STEP, out: () => zoom / STEP, fit: fitting };
    for (const button of all("[data-zoom]", graph)) {
      button.addEventListener("click", () => zoomTo(actions[button.dataset.zoom]()));
    }
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // without a key, the wheel scrolls
      event.preventDefault();
      const frame = canvas.getBoundingClientRect();
      const factor = Math.exp(-event.deltaY / 300);
      zoomTo(zoom * factor, event.clientX - frame.left, event.clientY - frame.top);
    }, { passive: false });
    startDragging(canvas);
    zoomTo(Math.max(fitting(), SMALLEST));
    canvas.scrollTop = 0;
    canvas.scrollLeft = (canvas.scrollWidth - canvas.clientWidth) / 2;
  }

  /** While the page is printed, the drawing is in pieces that do not cut a layer. */
  function startPrint(canvas, svg) {
    window.addEventListener("beforeprint", () => {
      const { width, height } = svg.viewBox.baseVal;
      const ratio = Math.min(PAGE.width / width, COMFORTABLE);
      const spans = spansOf(svg, height), layers = spans.filter(({ isLayer }) => isLayer);
      for (const [top, bottom] of pieces(layers, height, PAGE.height / ratio)) {
        const piece = svg.cloneNode(true);
        all(PARTS, piece).forEach((group, place) => {
          if (spans[place].bottom < top || spans[place].top > bottom) group.remove();
        });
        piece.setAttribute("viewBox", `0 ${top} ${width} ${bottom - top}`);
        piece.setAttribute("width", width * ratio);
        piece.setAttribute("height", (bottom - top) * ratio);
        piece.classList.add("piece");
        canvas.append(piece);
      }
    });
    window.addEventListener("afterprint", () => {
      for (const piece of all(".piece", canvas)) piece.remove();
    });
  }

  /** Return where each layer and edge of a drawing begins and ends, in the units of its viewBox. */
  function spansOf(svg, height) {
    const frame = svg.getBoundingClientRect(), scale = height / frame.height;
    return all(PARTS, svg).map((group) => {
      const box = group.getBoundingClientRect();
      const top = (box.top - frame.top) * scale - GAP, bottom = (box.bottom - frame.top) * scale + GAP;
      return { top, bottom, isLayer: group.matches(".node") };
    });
  }

  /** Return the tops and bottoms of pieces that are at most as high as a page. */
  function pieces(layers, height, most) {
    const cuts = [0];
    while (height - cuts.at(-1) > most) {
      const lowest = cuts.at(-1) + most;
      let cut = lowest;
      for (;;) { // up, over all layers that are in the way
        const tops = layers.filter(({ top, bottom }) => top < cut && cut < bottom);
        if (tops.length === 0) break;
        cut = Math.min(...tops.map(({ top }) => top));
      }
      cuts.push(cut > lowest - most / 2 ? cut : lowest);
    }
    return cuts.map((top, place) => [top, cuts[place + 1] ?? height]);
  }

  /** A mouse drags the drawing; fingers scroll it without help. */
  function startDragging(canvas) {
    let from = null, isDragged = false;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = [event.clientX + canvas.scrollLeft, event.clientY + canvas.scrollTop];
      isDragged = false;
    });
    window.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [left, top] = [from[0] - event.clientX, from[1] - event.clientY];
      const moved = Math.hypot(left - canvas.scrollLeft, top - canvas.scrollTop);
      if (!isDragged && moved < CLICK) return;
      isDragged = true;
      canvas.classList.add("dragged");
      canvas.scrollTo(left, top);
    });
    window.addEventListener("pointerup", () => {
      from = null;
      canvas.classList.remove("dragged");
    });
    canvas.addEventListener("click", (event) => {
      if (isDragged) event.stopImmediatePropagation(); // the end of a drag is not a click
      isDragged = false;
    });
  }

  function startTip(tip, canvas, nodes) {
    let shown = null;
    canvas.addEventListener("pointermove", (event) => {
      const group = event.pointerType === "mouse" && event.buttons === 0
        ? event.target.closest(".node, .cluster") : null;
      const node = nodes.get(group);
      tip.hidden = node === undefined;
      if (node === undefined) return;
      if (node !== shown) tip.replaceChildren(made("strong", node.title), node.text, listOf(node.facts));
      shown = node;
      const { width, height } = tip.getBoundingClientRect();
      const right = event.clientX + MARGIN, below = event.clientY + MARGIN;
      const isRight = right + width < window.innerWidth;
      const isBelow = below + height < window.innerHeight;
      tip.style.left = `${Math.max(0, isRight ? right : event.clientX - MARGIN - width)}px`;
      tip.style.top = `${Math.max(0, isBelow ? below : event.clientY - MARGIN - height)}px`;
    });
    for (const end of ["pointerleave", "pointerdown"]) {
      canvas.addEventListener(end, () => { tip.hidden = true; });
    }
  }

  /** Return a function that shows the rows of a node. */
  function startRows(graph, canvas, data) {
    const panel = graph.querySelector(".rows-of");
    const parents = new Map();
    for (const [label, row] of Object.entries(data.rows)) {
      for (const inner of row.inside) parents.set(inner, label);
    }

    function button(text, label) {
      const opening = made("button", text);
      opening.type = "button";
      opening.addEventListener("click", () => openRow(label));
      return opening;
    }
    function line(label) {
      const row = data.rows[label];
      const cells = row.cells.map((cell, place) => cellOf("td", cell, data.columns[place]));
      if (row.inside.length > 0) cells[0].replaceChildren(button(label, label));
      return made("tr", ...cells);
    }
    function cellOf(tag, text, column) {
      const cell = made(tag, text);
      if (data.numbers.includes(column)) cell.className = "num";
      return cell;
    }
    function show(title, labels, parent) {
      const closing = made("button", "Close");
      closing.type = "button";
      closing.addEventListener("click", close);
      const heading = made("header", made("strong", title));
      if (parent !== undefined) heading.append(button(`All of ${parent}`, parent));
      heading.append(closing);
      const head = made("tr", ...data.columns.map((name) => cellOf("th", name, name)));
      const table = made("table", made("thead", head), made("tbody", ...labels.map(line)));
      const frame = made("div", table);
      frame.className = "wide";
      const isInside = panel.contains(document.activeElement);
      panel.replaceChildren(heading, frame);
      panel.hidden = false;
      panel.scrollTop = 0;
      if (isInside) closing.focus(); // the button that was pressed is gone
    }
    function close() {
      if (panel.contains(document.activeElement)) canvas.focus();
      panel.hidden = true;
    }
    function openRow(label) {
      const { inside } = data.rows[label];
      show(label, inside.length > 0 ? inside : [label], parents.get(label));
    }
    graph.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
    return ({ title, row, rows }) => {
      const isModule = rows.length === 1 && data.rows[rows[0]].inside.length > 0;
      if (isModule) openRow(rows[0]);
      else show(title, rows, rows.length < data.rows[row]?.inside.length ? row : parents.get(row));
    };
  }

  function startSearch(graph, canvas, nodes, open) {
    const input = graph.querySelector("input"), count = graph.querySelector("output");
    let matches = [], place = -1, isOpened = false;

    function mark() {
      matches.forEach((group, number) => group.classList.toggle("current", number === place));
      count.textContent = input.value.trim() === "" ? ""
        : matches.length === 0 ? "none" : `${place + 1} of ${matches.length}`;
      const group = matches[place];
      if (group === undefined) return;
      const frame = canvas.getBoundingClientRect(), box = group.getBoundingClientRect();
      canvas.scrollBy(
        box.left + box.width / 2 - frame.left - frame.width / 2,
        box.top + box.height / 2 - frame.top - frame.height / 3,
      );
    }
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const group of nodes.keys()) group.classList.remove("matching", "current");
      matches = wanted === "" ? [] : [...nodes].filter(
        ([, node]) => `${node.title} ${node.text}`.toLowerCase().includes(wanted),
      ).map(([group]) => group);
      matches.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top);
      for (const group of matches) group.classList.add("matching");
      place = matches.length > 0 ? 0 : -1;
      isOpened = false;
      mark();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || matches.length === 0) return;
      if (isOpened) place = (place + (event.shiftKey ? -1 : 1) + matches.length) % matches.length;
      isOpened = true; // the first Enter opens the first match, the next one goes on
      mark();
      const node = nodes.get(matches[place]);
      if (node.rows.length) open(node);
    });
  }

  document.documentElement.classList.add("js");
  for (const picture of all(".picture", document)) startPicture(picture);
  for (const graph of all(".graph[data-graph]", document)) startGraph(graph);
})();
