/* The lattice under its two sliders. `bits` are spins [temperatures, steps, size, size], eight a byte. */
function latticeView(frames, bits) {
  const canvas = element("lattice-canvas"), context = canvas.getContext("2d");
  const temperature = element("lattice-temperature"), step = element("lattice-step"), button = element("lattice-play");
  const spins = frames.size ** 2, pixel = canvas.width / frames.size;

  function draw() {
    const [t, s] = [Number(temperature.value), Number(step.value)];
    const first = ((t * frames.steps.length + s) * spins) / 8;
    context.fillStyle = themed("down");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = themed("up");
    let up = 0;
    for (let spin = 0; spin < spins; spin++) {
      if (!((bits[first + (spin >> 3)] >> (7 - (spin & 7))) & 1)) continue;
      up++;
      context.fillRect((spin % frames.size) * pixel, Math.floor(spin / frames.size) * pixel, pixel, pixel);
    }
    const order = Math.abs(2 * up - spins) / spins;
    element("lattice-tau").textContent = frames.temperatures[t];
    element("lattice-sweep").textContent = frames.steps[s];
    element("lattice-order").textContent = order.toFixed(2);
    element("lattice-onsager").textContent = frames.onsager[t].toFixed(2);
    element("lattice-told").textContent = `${frames.size} x ${frames.size} spins at τ = ${frames.temperatures[t]}, `
      + `sweep ${frames.steps[s]}: ${Math.round((100 * up) / spins)}% are up.`;
    temperature.setAttribute("aria-valuetext", `tau ${frames.temperatures[t]}`);
    step.setAttribute("aria-valuetext", `sweep ${frames.steps[s]}`);
  }

  function next() {
    step.value = Number(step.value) + 1;
    draw();
    return Number(step.value) < frames.steps.length - 1;
  }

  const film = player(next, () => 6, (playing) => { button.textContent = playing ? "Pause" : "Play"; });
  button.addEventListener("click", () => {
    if (Number(step.value) === frames.steps.length - 1) step.value = 0;
    film.toggle();
  });
  temperature.max = frames.temperatures.length - 1;
  step.max = frames.steps.length - 1;
  temperature.value = frames.temperatures.findIndex((each) => each >= 1.1);
  step.value = step.max;
  element("lattice-critical").textContent = frames.critical.toFixed(4);
  temperature.addEventListener("input", draw);
  step.addEventListener("input", draw);
  dark.addEventListener("change", draw);
  draw();
}
