"use strict";
// Draws the plots in the colours of the style sheet, redraws them for light, dark and paper, and filters the table.
(() => {
  const root = document.documentElement;
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const places = [...document.querySelectorAll("[data-plot]")];
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const config = {
    displaylogo: false,
    showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "resetCameraLastSave3d", "tableRotation"],
  };

  // A hidden element tells what a colour of the style sheet is in a theme ("": the present one).
  const probe = document.body.appendChild(document.createElement("span"));
  probe.hidden = true;

  // {"$": "ink", "a": 0.5} stands for the colour --ink of the style sheet, half transparent.
  function colour({ $: name, a: alpha }) {
    if (name === "clear") return "rgba(0,0,0,0)";
    probe.style.color = `var(--${name})`;
    const channels = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3);
    return alpha === undefined ? `rgb(${channels})` : `rgba(${channels},${alpha})`;
  }

  function resolve(item) {
    if (Array.isArray(item)) return item.map(resolve);
    if (item === null || typeof item !== "object") return item;
    if (typeof item.$ === "string") return colour(item);
    return Object.fromEntries(Object.entries(item).map(([key, part]) => [key, resolve(part)]));
  }

  // As the reader has turned each scene. Plotly tells by event; in its layout it is lost after the first redrawing.
  const cameras = new Map();

  function figureOf(place, theme) {
    probe.style.colorScheme = theme;
    const figure = resolve(plots[Number(place.dataset.plot)]);
    figure.layout.font.family = getComputedStyle(document.body).fontFamily;
    const { scene } = figure.layout;
    if (cameras.has(place)) scene.camera = cameras.get(place);
    else if (scene && place.clientWidth < 500) for (const axis of "xyz") scene.camera.eye[axis] *= 1.15; // room for names
    return figure;
  }

  function draw(place) {
    const { data, layout } = figureOf(place, "");
    // A finger that drags over a flat plot means to scroll the page.
    if (coarse && !layout.scene) layout.dragmode = false;
    // Measured here and not by plotly, whose own measuring comes too late for a printer.
    Object.assign(layout, { width: place.clientWidth, height: place.clientHeight });
    return Plotly.react(place, data, layout, { ...config, displayModeBar: coarse ? false : "hover" });
  }

  // A printer does not wait for WebGL, so every scene keeps a picture of itself for paper.
  async function picture(place) {
    const { data, layout } = figureOf(place, "light");
    const source = await Plotly.toImage({ data, layout, config }, { format: "png", width: 700, height: 560, scale: 2 });
    const image = place.parentElement.querySelector("img") || place.parentElement.appendChild(new Image());
    Object.assign(image, { src: source, alt: place.getAttribute("aria-label"), className: "paper-only" });
    place.classList.add("pictured");
  }

  let waiting = null;
  function pictureSoon(place) {
    clearTimeout(waiting);
    waiting = setTimeout(() => picture(place), 700);
  }

  const visible = (place) => place.clientWidth > 0 && !place.closest("details:not([open])");
  const drawn = (place) => place.classList.contains("js-plotly-plot");

  async function drawAll(part) {
    for (const place of places.filter((item) => part.contains(item) && visible(item))) {
      await draw(place);
      await new Promise((done) => setTimeout(done)); // let the page answer between two plots
    }
  }

  async function start() {
    await drawAll(document.body);
    root.dataset.drawn = String(places.filter(drawn).length);
    for (const place of places.filter((item) => item.layout && item.layout.scene)) {
      await picture(place);
      place.on("plotly_relayout", (change) => {
        if (change["scene.camera"]) cameras.set(place, change["scene.camera"]);
        pictureSoon(place);
      });
    }
    root.dataset.ready = "true";
  }

  function redraw() {
    places.filter((place) => drawn(place) && visible(place)).forEach(draw);
  }

  // Plots inside a closed <details> have no size until it opens.
  for (const more of document.querySelectorAll("details.more")) {
    more.addEventListener("toggle", () => {
      if (more.open) drawAll(more);
    });
  }

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme === "dark" || (root.dataset.theme === "auto" && prefersDark.matches);
    root.dataset.theme = dark ? "light" : "dark";
    redraw();
  });
  prefersDark.addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's address bar came or went
    width = innerWidth;
    requestAnimationFrame(redraw);
  });

  // Paper is light and has a width of its own; the class gives it to the page before the printer measures.
  let screen = null;
  addEventListener("beforeprint", () => {
    if (screen) return;
    const closed = [...document.querySelectorAll("details:not([open]):not(.screen-only):not(tr.metric details)")];
    screen = { theme: root.dataset.theme, closed };
    root.dataset.theme = "light";
    root.classList.add("paper");
    closed.forEach((item) => (item.open = true));
    redraw();
  });
  addEventListener("afterprint", () => {
    if (!screen) return;
    root.dataset.theme = screen.theme;
    root.classList.remove("paper");
    screen.closed.forEach((item) => (item.open = false));
    screen = null;
    redraw();
  });

  function filterTable() {
    const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const measured = document.getElementById("measured").checked;
    let shown = 0;
    const rows = [...document.querySelectorAll("tr.metric")];
    document.querySelector("table").classList.toggle("searching", words.length > 0); // a search looks into folded layers
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (measured && row.classList.contains("absent"));
      shown += row.hidden ? 0 : 1;
    }
    for (const body of document.querySelectorAll("tbody")) body.hidden = !body.querySelector("tr.metric:not([hidden])");
    document.getElementById("count").textContent = `${shown} of ${rows.length} shown`;
  }
  for (const button of document.querySelectorAll(".fold")) {
    button.addEventListener("click", () => {
      const folded = button.closest("tbody").classList.toggle("folded");
      button.setAttribute("aria-expanded", String(!folded));
    });
  }
  if (document.getElementById("filter")) {
    document.getElementById("filter").addEventListener("input", filterTable);
    document.getElementById("measured").addEventListener("change", filterTable);
    filterTable();
  }

  start();
})();
