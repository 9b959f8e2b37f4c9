/* How numbers are said. */

const MINUS = "\u2212";
const groups = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const RAISED = {
  "-": "\u207b",
  0: "\u2070",
  1: "\u00b9",
  2: "\u00b2",
  3: "\u00b3",
  4: "\u2074",
  5: "\u2075",
  6: "\u2076",
  7: "\u2077",
  8: "\u2078",
  9: "\u2079",
};

const signed = (text) => text.replace(/^-/, MINUS);

/** So many digits, no more zeros than needed. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) {
    const [mantissa, exponent] = value.toExponential(digits - 2).split("e");
    const raised = [...exponent.replace("+", "")].map((letter) => RAISED[letter]).join("");
    return signed(Number(mantissa) === 1 ? `10${raised}` : `${Number(mantissa)}\u00b710${raised}`);
  }
  if (size >= 1000) return signed(groups.format(value));
  return signed(String(Number(value.toPrecision(digits))));
}

export const whole = (value) =>
  value === null || value === undefined ? "\u2013" : signed(groups.format(value));

/** For axes and tiles: 1.2M, 45k. */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  for (const [unit, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ])
    if (size >= unit) return signed(`${Number((value / unit).toPrecision(3))}${letter}`);
  if (size !== 0 && size < 1e-3) return number(value, 3);
  return signed(String(Number(value.toPrecision(3))));
}

export const percent = (share) =>
  Number.isFinite(share) ? `${Number((100 * share).toPrecision(3))}\u202f%` : "\u2013";

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "\u2013";
  if (seconds < 1) return `${number(1000 * seconds, 3)} ms`;
  if (seconds < 60) return `${number(seconds, 3)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A day and a time, the day left out where it is today. */
export function moment(text) {
  const date = new Date(text ?? NaN);
  if (Number.isNaN(date.getTime())) return "\u2013";
  const time = clock(date, { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${time}`;
}

export const clock = (date, parts = { hour: "2-digit", minute: "2-digit", second: "2-digit" }) =>
  date.toLocaleTimeString("en-GB", { ...parts, hourCycle: "h23" });

/** About `count` round values from low to high. */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * span; n += 1)
    found.push(n * step);
  return found;
}

/** Powers of ten, with 2 and 5 between where there is room for `count` values. */
export function decades(low, high, count) {
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  const at = (factors, skip) => {
    const found = [];
    for (let n = from; n <= to; n += skip)
      for (const factor of factors) found.push(factor * 10 ** n);
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  };
  for (const [factors, skip] of [
    [[1, 2, 5], 1],
    [[1, 3], 1],
    [[1], 1],
    [[1], 2],
    [[1], 3],
    [[1], 6],
  ]) {
    const found = at(factors, skip);
    if (found.length <= count)
      return found.length > 1 ? found : ticks(low, high, count).filter((value) => value > 0);
  }
  return at([1], Math.ceil((to - from) / count));
}
