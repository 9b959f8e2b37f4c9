/* The server: questions, changes, and what it tells by itself. */

const token = document.querySelector('meta[name="qlearn-token"]').content;

/** A run's name in an address; its slashes stay. */
export const path = (name) => name.split("/").map(encodeURIComponent).join("/");
/** Where the page shows a run. */
export const pageOf = (name) => `#/run/${path(name)}`;
export const names = (list) => list.map(encodeURIComponent).join(",");

async function answer(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    /* said below */
  }
  if (!response.ok) throw new Error(body?.error || `the server answered ${response.status}`);
  return body;
}

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server cannot be reached");
  }
}

export const get = async (address, signal) => answer(await reach(address, { signal }));

export const post = async (address, body) =>
  answer(
    await reach(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Qlearn-Token": token },
      body: JSON.stringify(body),
    }),
  );

export const api = {
  palette: () => get("/api/palette"),
  runs: () => get("/api/runs"),
  run: (name) => get(`/api/run/${path(name)}`),
  series: (name, keys, x, points, range = null) =>
    get(
      `/api/series/${path(name)}?${new URLSearchParams({ keys: keys.join(","), x, points, ...(range && { from: range[0], to: range[1] }) })}`,
    ),
  clip: (name, file) => get(`/api/clip/${path(name)}/${encodeURIComponent(file)}`),
  play: (name, options) => post(`/api/play/${path(name)}`, options),
  set: (name, knobs) => post(`/api/set/${path(name)}`, knobs),
  ask: (name, what) => post(`/api/do/${path(name)}`, { do: what }),
  comparing: (runs, metric, x, end = "") =>
    `/api/compare${end}?runs=${names(runs)}&${new URLSearchParams({ metric, x })}`,
  compare: (runs, metric, x) => get(api.comparing(runs, metric, x)),
};

/** Listens until the returned function is called; `up` hears whether the server is there. */
export function listen(runs, hears, up = () => {}) {
  const source = new EventSource(`/api/stream?runs=${names(runs)}`);
  const shown = document.getElementById("link");
  let lost = false;
  const tell = (there) => {
    shown.textContent = there ? "" : "server away, trying again";
    shown.classList.toggle("lost", !there);
  };
  source.onopen = () => {
    tell(true);
    if (lost) up();
    lost = false;
  };
  source.onerror = () => {
    lost = true;
    tell(false);
  };
  for (const [event, hear] of Object.entries(hears))
    source.addEventListener(event, (message) => hear(JSON.parse(message.data)));
  return () => {
    source.close();
    tell(true);
  };
}
