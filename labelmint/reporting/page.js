// Filters, numbers on hover and by arrow keys, a slider over epochs, and figures as files. Without this script, the page shows everything.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Filters hide an element with a value that is not selected. Lines are redrawn through the remaining points.
  const form = document.getElementById("filter");
  const redraw = (series) => {
    const line = series.querySelector("polyline");
    if (line) line.setAttribute("points", all(".pt:not(.off)", series).map((point) => `${point.dataset.x},${point.dataset.y}`).join(" "));
  };
  const show = () => {
    const sets = all("fieldset", form).map((set) => [set.dataset.by, new Set(all("input:checked", set).map((input) => input.value))]);
    const filtered = sets.map(([name]) => `[data-${name}]`).join(",");
    for (const element of all(`:is(${filtered}):not(fieldset)`))
      element.classList.toggle("off", sets.some(([name, selected]) => name in element.dataset && !selected.has(element.dataset[name])));
    all("svg.chart .series:not(.off)").forEach(redraw);
    const arms = all(".arm"), shown = arms.filter((arm) => !arm.classList.contains("off"));
    form.querySelector("output").textContent = `${shown.length} of ${arms.length} ${arms.length === 1 ? "arm" : "arms"}`;
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", show);
    form.addEventListener("click", (event) => {
      const choice = event.target.dataset.set;
      if (!choice) return;
      for (const input of all("input", event.target.closest("fieldset"))) input.checked = choice === "all";
      show();
    });
    show();
  }

  // A tooltip for the point nearest to the pointer; arrow keys go through the points of a chart.
  const tip = document.getElementById("tip");
  let current = null;
  const hideTip = () => {
    if (current) current.classList.remove("now");
    current = null;
    tip.hidden = true;
  };
  const showTip = (point) => {
    if (point === current) return;
    hideTip();
    current = point;
    point.classList.add("now");
    tip.textContent = `${point.closest(".series").dataset.name}: ${point.dataset.tip}`;
    tip.hidden = false;
    const chart = point.ownerSVGElement, box = chart.getBoundingClientRect(), scale = box.width / chart.viewBox.baseVal.width;
    const x = box.left + scale * point.dataset.x, y = box.top + scale * point.dataset.y;
    tip.style.left = `${Math.max(4, Math.min(innerWidth - tip.offsetWidth - 4, x - tip.offsetWidth / 2))}px`;
    tip.style.top = `${y - tip.offsetHeight - 12 > 0 ? y - tip.offsetHeight - 12 : y + 14}px`;
  };
  const points = (chart) => all(".series:not(.off) .pt:not(.off)", chart);
  for (const chart of all("svg.chart")) {
    chart.setAttribute("tabindex", "0");
    chart.setAttribute("aria-roledescription", "chart; arrow keys read its points");
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect(), scale = box.width / chart.viewBox.baseVal.width;
      let best = null, smallest = 28;
      for (const point of points(chart)) {
        const distance = Math.hypot(box.left + scale * point.dataset.x - event.clientX, box.top + scale * point.dataset.y - event.clientY);
        if (distance < smallest) [best, smallest] = [point, distance];
      }
      if (best) showTip(best); else hideTip();
    });
    chart.addEventListener("pointerleave", hideTip);
    chart.addEventListener("blur", hideTip);
    chart.addEventListener("keydown", (event) => {
      const every = points(chart), index = every.indexOf(current), last = every.length - 1;
      const next = { ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") hideTip();
      if (next === undefined || !every.length) return;
      event.preventDefault();
      showTip(every[Math.max(0, Math.min(last, next))]);
    });
  }
  addEventListener("scroll", hideTip, { passive: true });

  // A slider over epochs replaces the row of frames. It starts at the last epoch.
  for (const figure of all(".frames")) {
    const frames = all(".frame", figure);
    if (frames.length < 2) continue;
    const player = document.createElement("div"), button = document.createElement("button"), slider = document.createElement("input"), label = document.createElement("output");
    player.className = "player";
    button.type = "button";
    Object.assign(slider, { type: "range", min: 0, max: frames.length - 1, value: frames.length - 1 });
    slider.setAttribute("aria-label", "epoch");
    player.append(button, slider, label);
    figure.querySelector(".strip").after(player);
    figure.classList.add("on");
    let timer = null;
    const update = () => {
      frames.forEach((frame, index) => frame.classList.toggle("now", index === Number(slider.value)));
      label.textContent = `epoch ${frames[slider.value].dataset.epoch}`;
      slider.setAttribute("aria-valuetext", label.textContent);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      button.textContent = "play";
    };
    button.addEventListener("click", () => {
      if (timer) return stop();
      slider.value = 0;
      button.textContent = "stop";
      update();
      timer = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        update();
        if (Number(slider.value) === frames.length - 1) stop();
      }, 500);
    });
    slider.addEventListener("input", () => { stop(); update(); });
    stop();
    update();
  }

  // Every chart can be saved as SVG or PNG, with its legend and in light colours, and every picture as PNG.
  const SVG = "http://www.w3.org/2000/svg", ROW = 13, PIXELS_PER_UNIT = 4;
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-size", "font-family"];
  const shape = (name, attributes, ...children) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const styled = (element) => {
    const copy = element.cloneNode(true), parts = all("*", copy);
    all("*", element).forEach((part, index) => {
      const style = getComputedStyle(part);
      for (const name of STYLES) parts[index].setAttribute(name, style.getPropertyValue(name));
    });
    all(".off", copy).forEach((part) => part.remove());
    return [...copy.childNodes];
  };
  const standalone = (figure) => {
    const chart = figure.querySelector("svg.chart"), { width, height } = chart.viewBox.baseVal;
    const entries = all(".legend > li:not(.off)", figure), total = height + ROW * entries.length + 4;
    figure.style.colorScheme = "light";
    const legend = entries.map((entry, index) => shape("g", { transform: `translate(16 ${height + ROW * (index + 0.5)})` },
      ...styled(entry.querySelector("svg")),
      shape("text", { x: 18, y: 3.5, "font-size": 10, "font-family": "sans-serif" }, entry.textContent)));
    const drawn = shape("svg", { viewBox: `0 0 ${width} ${total}`, width, height: total },
      shape("rect", { width: "100%", height: "100%", fill: "#fff" }), ...styled(chart), ...legend);
    figure.style.colorScheme = "";
    return new XMLSerializer().serializeToString(drawn);
  };
  const save = (name, content) => {
    const address = URL.createObjectURL(content);
    Object.assign(document.createElement("a"), { download: name, href: address }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
  const savePng = async (name, source, scale) => {
    const picture = Object.assign(new Image(), { src: source }), canvas = document.createElement("canvas");
    await picture.decode();
    Object.assign(canvas, { width: scale * picture.naturalWidth, height: scale * picture.naturalHeight });
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((content) => save(name, content));
  };
  const fileName = (figure) => {
    const arm = figure.closest(".arm")?.querySelector("h3").id.replace("arm-", ""), chart = figure.querySelector("svg.chart");
    const title = (chart ? chart.dataset.title : [...figure.querySelectorAll("img")].pop().alt).split(". ")[0];
    return [arm, title].filter(Boolean).join("-").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 100);
  };
  for (const figure of all("figure")) {
    const isChart = figure.querySelector("svg.chart");
    if (!isChart && !figure.querySelector("img")) continue;
    const picture = () => all("img", figure).find((each) => each.checkVisibility()).src;
    const choices = isChart
      ? { SVG: () => save(`${fileName(figure)}.svg`, new Blob([standalone(figure)], { type: "image/svg+xml" })),
          PNG: () => savePng(`${fileName(figure)}.png`, `data:image/svg+xml,${encodeURIComponent(standalone(figure))}`, PIXELS_PER_UNIT) }
      : { PNG: () => savePng(`${fileName(figure)}.png`, picture(), PIXELS_PER_UNIT) };
    const row = document.createElement("p");
    row.className = "save";
    row.append("Save as");
    for (const [name, action] of Object.entries(choices)) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.setAttribute("aria-label", `Save this figure as ${name}`);
      button.addEventListener("click", action);
      row.append(button);
    }
    figure.append(row);
  }

  // A link to an arm opens it. Printing opens all arms, unless there are many, and closes them again.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const arm = target && target.closest("details");
    if (arm) { arm.open = true; arm.classList.remove("off"); target.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
  let opened = [];
  addEventListener("beforeprint", () => {
    const folded = all(".arm:not([open]), .comparisons:not([open])");
    opened = folded.length <= 8 ? folded : [];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; });
})();
