// Filters, numbers on hover and by arrow keys, and a slider over epochs. Without this script, the page shows everything.
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

  // A link to an arm opens it. Printing opens all arms, unless there are many.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const arm = target && target.closest("details");
    if (arm) { arm.open = true; arm.classList.remove("off"); target.scrollIntoView(); }
  };
  addEventListener("hashchange", open);
  open();
  addEventListener("beforeprint", () => {
    const folded = all(".arm:not([open]), .verdict details:not([open])");
    if (folded.length <= 8) folded.forEach((details) => { details.open = true; });
  });
})();
