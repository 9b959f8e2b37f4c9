/* Where the time goes: seconds since the start become shares of each stretch, stacked. */

const TITLES = {
  act: "choosing actions",
  acting: "choosing actions",
  env: "environment",
  learn: "learning",
  eval: "evaluating",
  log: "logging",
  view: "watching",
  checkpoint: "checkpoints",
  other: "not attributed",
};
const FIRST = ["env", "act", "learn"]; // lie at the bottom, in this order
const LAST = ["other"];
const STRETCHES = 40;
const COLOURS = 8;

const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : LAST.includes(name) ? 99 : 50);

/** The series of a chart, from {x, name: [seconds since the start]}. */
export function stageSeries(stages) {
  const x = stages?.x ?? [];
  const names = Object.keys(stages ?? {})
    .filter((name) => name !== "x")
    .sort((a, b) => rank(a) - rank(b) || stages[b].at(-1) - stages[a].at(-1));
  if (x.length < 1) return [];
  const every = Math.max(1, Math.floor(x.length / STRETCHES));
  const ends = [];
  for (let n = x.length - 1; n >= 0; n -= every) ends.unshift(n);
  const spent = names.map((name) =>
    ends.map((end, k) => Math.max(0, stages[name][end] - (k ? stages[name][ends[k - 1]] : 0))),
  );
  const whole = ends.map((_, k) => spent.reduce((sum, of) => sum + of[k], 0) || 1);
  // A stretch begins where the one before ended, and is as it is up to its own end.
  const at = ends.flatMap((end, k) => [k ? x[ends[k - 1]] : 0, x[end]]);
  const twice = (list) => list.flatMap((value) => [value, value]);
  const floor = ends.map(() => 0);
  return names.map((name, n) => {
    const share = spent[n].map((seconds, k) => seconds / whole[k]);
    const low = twice(floor);
    share.forEach((of, k) => {
      floor[k] += of;
    });
    return {
      name: TITLES[name] ?? name.replaceAll("_", " "),
      kind: "area",
      colour: `stage-${name === "other" ? "other" : n % COLOURS}`,
      x: at,
      mean: twice(share),
      low,
      high: twice(floor),
    };
  });
}
