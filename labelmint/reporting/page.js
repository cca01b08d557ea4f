// What the page can do beyond being read: filters, numbers on hover and by arrow keys, a slider over epochs. Without it, all is shown.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Filters: an element goes if it names a value that is not picked. Lines are drawn anew through the points that stay.
  const form = document.getElementById("filter");
  const redraw = (series) => {
    const line = series.querySelector("polyline");
    if (line) line.setAttribute("points", all(".pt:not(.off)", series).map((point) => `${point.dataset.x},${point.dataset.y}`).join(" "));
  };
  const show = () => {
    const sets = all("fieldset", form).map((set) => [set.dataset.by, new Set(all("input:checked", set).map((input) => input.value))]);
    const marked = sets.map(([name]) => `[data-${name}]`).join(",");
    for (const element of all(`:is(${marked}):not(fieldset)`))
      element.classList.toggle("off", sets.some(([name, picked]) => name in element.dataset && !picked.has(element.dataset[name])));
    all("svg.chart .series:not(.off)").forEach(redraw);
    const arms = all(".arm"), shown = arms.filter((arm) => !arm.classList.contains("off"));
    form.querySelector("output").textContent = `${shown.length} of ${arms.length} ${arms.length === 1 ? "arm" : "arms"}`;
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", show);
    form.addEventListener("click", (event) => {
      const kind = event.target.dataset.set;
      if (!kind) return;
      for (const input of all("input", event.target.closest("fieldset"))) input.checked = kind === "all";
      show();
    });
    show();
  }

  // Numbers: of the point nearest to the pointer; arrow keys go through the points of a chart.
  const tip = document.getElementById("tip");
  let current = null;
  const forget = () => {
    if (current) current.classList.remove("now");
    current = null;
    tip.hidden = true;
  };
  const tell = (point) => {
    if (point === current) return;
    forget();
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
      let best = null, least = 28;
      for (const point of points(chart)) {
        const apart = Math.hypot(box.left + scale * point.dataset.x - event.clientX, box.top + scale * point.dataset.y - event.clientY);
        if (apart < least) [best, least] = [point, apart];
      }
      if (best) tell(best); else forget();
    });
    chart.addEventListener("pointerleave", forget);
    chart.addEventListener("blur", forget);
    chart.addEventListener("keydown", (event) => {
      const every = points(chart), at = every.indexOf(current), last = every.length - 1;
      const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
      if (event.key === "Escape") forget();
      if (next === undefined || !every.length) return;
      event.preventDefault();
      tell(every[Math.max(0, Math.min(last, next))]);
    });
  }
  addEventListener("scroll", forget, { passive: true });

  // A slider over epochs in place of a row of frames; it stands at the last one.
  for (const figure of all(".frames")) {
    const frames = all(".frame", figure);
    if (frames.length < 2) continue;
    const player = document.createElement("div"), button = document.createElement("button"), slider = document.createElement("input"), said = document.createElement("output");
    player.className = "player";
    button.type = "button";
    Object.assign(slider, { type: "range", min: 0, max: frames.length - 1, value: frames.length - 1 });
    slider.setAttribute("aria-label", "epoch");
    player.append(button, slider, said);
    figure.querySelector(".strip").after(player);
    figure.classList.add("on");
    let timer = null;
    const put = () => {
      frames.forEach((frame, place) => frame.classList.toggle("now", place === Number(slider.value)));
      said.textContent = `epoch ${frames[slider.value].dataset.epoch}`;
      slider.setAttribute("aria-valuetext", said.textContent);
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
      put();
      timer = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        put();
        if (Number(slider.value) === frames.length - 1) stop();
      }, 500);
    });
    slider.addEventListener("input", () => { stop(); put(); });
    stop();
    put();
  }

  // A link to an arm opens it; so does printing, where there are few.
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
