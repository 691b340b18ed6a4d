/* The player of recorded battles. Positions are bytes [3, 2, agents, frames]: x, y and hp in tenths, 0 for the dead. */
function battleView(battles) {
  const canvas = element("battle-canvas"), context = canvas.getContext("2d");
  const chart = element("battle-chart"), lines = chart.getContext("2d");
  const scrub = element("battle-step");
  const FULL = 100, SHADES = 5, CROSS = 8; // hp of the unhurt, blows that kill, frames for which a cross fades
  let battle, bytes, frames, survivors;

  const at = (part, army, agent, frame) => bytes[((part * 2 + army) * battle.agents + agent) * frames + frame];
  const now = () => Number(scrub.value);

  async function open() {
    film.set(false);
    const number = Number(element("battle-choice").value);
    const unpacked = await unpack(`battle-${number}`);
    [battle, bytes, frames] = [battles[number], unpacked, battles[number].steps + 1];
    survivors = [0, 1].map((army) => Array.from({ length: frames }, (_, frame) => {
      let living = 0;
      for (let agent = 0; agent < battle.agents; agent++) living += at(2, army, agent, frame) > 0;
      return living;
    }));
    scrub.max = frames - 1;
    scrub.value = 0;
    showCommands(element("battle-command"), battle.command);
    const left = battle.armies[0].seat === "left" ? [0, 1] : [1, 0];
    element("battle-armies").replaceChildren(...left.map(card));
    draw();
  }

  /* Who an army is, and how it does. */
  function card(army) {
    const { name, colour, seat, first } = battle.armies[army];
    const box = make("div", "", { class: "army" });
    box.style.setProperty("--army", visible(colour));
    const facts = make("dl", "", { class: "facts" });
    for (const [label, id] of [["Alive", "alive"], ["Kills", "kills"], ["Health", "health"]]) {
      const pair = make("div");
      pair.append(make("dt", label), make("dd", "", { id: `battle-${id}-${army}` }));
      facts.append(pair);
    }
    const bar = make("div", "", { class: "health" });
    bar.append(make("i", "", { id: `battle-bar-${army}` }));
    const shape = army === 0 ? "●" : "■";
    box.append(make("h4", `${shape} ${name}`),
      make("p", `${seat} seat, moves ${first ? "first" : "second"}, ${battle.mode} play`, { class: "note" }), facts, bar);
    return box;
  }

  function draw() {
    const frame = now(), cell = canvas.width / battle.map;
    context.fillStyle = themed("wall");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = themed("floor");
    context.fillRect(cell, cell, canvas.width - 2 * cell, canvas.height - 2 * cell);
    for (const army of [0, 1]) {
      const colour = visible(battle.armies[army].colour);
      let health = 0;
      for (let agent = 0; agent < battle.agents; agent++) {
        const hp = at(2, army, agent, frame);
        health += hp;
        if (hp) drawAgent(army, colour, at(0, army, agent, frame) * cell, at(1, army, agent, frame) * cell, cell, hp);
        else drawCross(army, agent, frame, colour, cell);
      }
      const share = health / (FULL * battle.agents);
      element(`battle-alive-${army}`).textContent = `${survivors[army][frame]} of ${battle.agents}`;
      element(`battle-kills-${army}`).textContent = battle.agents - survivors[1 - army][frame];
      element(`battle-health-${army}`).textContent = `${Math.round(100 * share)}%`;
      element(`battle-bar-${army}`).style.width = `${100 * share}%`;
    }
    drawChart(frame);
    element("battle-now").textContent = `${frame} of ${frames - 1}`;
    scrub.setAttribute("aria-valuetext", `step ${frame} of ${frames - 1}`);
    if (frame === 0 || frame === frames - 1) element("battle-told").textContent = told(frame);
  }

  function drawAgent(army, colour, x, y, cell, hp) {
    const border = Math.max(1, cell / 8), side = cell - border;
    context.beginPath();
    if (army === 0) context.arc(x + cell / 2, y + cell / 2, side / 2, 0, 2 * Math.PI);
    else context.rect(x + border / 2 + 0.06 * cell, y + border / 2 + 0.06 * cell, side - 0.12 * cell, side - 0.12 * cell);
    context.globalAlpha = (Math.ceil((SHADES * hp) / FULL) - 1) / (SHADES - 1);
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colour;
    context.lineWidth = border;
    context.stroke();
  }

  function drawCross(army, agent, frame, colour, cell) {
    let death = frame;
    while (frame - death < CROSS && at(2, army, agent, death) === 0) death--;
    if (frame - death >= CROSS) return;
    const [x, y] = [0, 1].map((part) => (at(part, army, agent, death) + 0.5) * cell), arm = cell / 3;
    context.globalAlpha = 1 - (frame - death) / CROSS;
    context.strokeStyle = colour;
    context.lineWidth = Math.max(1.5, cell / 8);
    context.beginPath();
    for (const slope of [1, -1]) {
      context.moveTo(x - arm, y - slope * arm);
      context.lineTo(x + arm, y + slope * arm);
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  /* Survivors of both armies against time, and where the film is. */
  function drawChart(frame) {
    const { width, height } = chart, edge = 6;
    const x = (step) => edge + ((width - 2 * edge) * step) / Math.max(1, frames - 1);
    const y = (living) => height - edge - ((height - 2 * edge) * living) / battle.agents;
    lines.clearRect(0, 0, width, height);
    lines.fillStyle = themed("line");
    lines.fillRect(x(frame) - 1.5, 0, 3, height);
    for (const army of [0, 1]) {
      lines.strokeStyle = visible(battle.armies[army].colour);
      lines.lineWidth = 4;
      lines.beginPath();
      survivors[army].forEach((living, step) => lines.lineTo(x(step), y(living)));
      lines.stroke();
    }
  }

  function told(frame) {
    const [one, other] = battle.armies;
    if (frame === 0) return `${one.name} against ${other.name}, ${battle.agents} a side. ${frames - 1} steps are recorded.`;
    const won = one.survivors === other.survivors ? "A draw" : `${(one.survivors > other.survivors ? one : other).name} wins`;
    return `${won} after ${frames - 1} steps: ${one.survivors} of ${one.name} and ${other.survivors} of ${other.name} are left.`;
  }

  function go(frame) {
    scrub.value = frame;
    draw();
  }

  function next() {
    go(now() + 1);
    return now() < frames - 1;
  }

  const film = player(next, () => Number(element("battle-speed").value), (playing) => {
    element("battle-play").textContent = playing ? "Pause" : "Play";
  });

  function toggle() {
    if (now() === frames - 1) go(0);
    film.toggle();
  }

  function jump(frame) {
    film.set(false);
    go(frame);
  }

  battles.forEach(({ armies: [one, other], agents }, number) => {
    const label = `${one.name} v ${other.name}, ${agents} a side`;
    element("battle-choice").append(make("option", label, { value: number }));
  });
  element("battle-choice").addEventListener("change", open);
  element("battle-play").addEventListener("click", toggle);
  element("battle-start").addEventListener("click", () => jump(0));
  element("battle-back").addEventListener("click", () => jump(now() - 1));
  element("battle-next").addEventListener("click", () => jump(now() + 1));
  element("battle-end").addEventListener("click", () => jump(frames - 1));
  scrub.addEventListener("input", () => { film.set(false); draw(); });
  scrub.addEventListener("keydown", (event) => {
    if (event.key === " ") { event.preventDefault(); toggle(); }
  });
  dark.addEventListener("change", () => { open(); });
  return open();
}
