/*
What a page does to those who can't see it well, or not at all: one line for each mistake found. Run in the page.
Contrast is WCAG's: 4.5, or 3 for large text, against the nearest background that is painted.
*/
() => {
  const mistakes = [];
  const visible = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length;
  const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
  const where = (element) => `<${element.localName}> “${(element.textContent || element.name || "").trim().slice(0, 40)}”`;

  const name = (element) =>
    element.getAttribute("aria-label") ||
    (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("") ||
    [...(element.labels ?? [])].map((label) => label.textContent).join("") ||
    (element.matches("a, button, summary") && element.textContent);

  for (const element of all("input:not([type=hidden]), select, textarea, button, summary, a, [role=log], section[aria-labelledby]")) {
    if (!name(element)?.trim()) mistakes.push(`has no name: ${element.outerHTML.slice(0, 100)}`);
  }
  for (const [selector, count] of [["main", 1], ["h1", 1], ["header.site", 1], ["[aria-live=polite]", 1], ["title", 1]]) {
    const found = document.querySelectorAll(selector).length;
    if (found !== count) mistakes.push(`${found} × ${selector}`);
  }
  if (!document.documentElement.lang) mistakes.push("the page's language is not said");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) mistakes.push(`two elements are #${id}`);
  const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.localName[1]));
  levels.forEach((level, at) => level > (levels[at - 1] ?? 0) + 1 && mistakes.push(`h${level} follows h${levels[at - 1] ?? 0}`));
  const head = document.querySelector("header.site").offsetHeight;
  if (head > innerHeight / 10) mistakes.push(`${head} px of ${innerHeight} always go to the header`);
  for (const element of all("button, summary, select, textarea, input:not([type=hidden])")) {
    const { width, height } = element.getBoundingClientRect();
    if (Math.min(width, height) < 24) mistakes.push(`${width} × ${height} px are too small to hit: ${where(element)}`);
  }
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) mistakes.push(`${width} px wide in a window of ${innerWidth}`);

  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const read = new Map();
  function channels(color) {
    if (!read.has(color)) read.set(color, painted(color));
    return [...read.get(color)];
  }
  function painted(color) {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = color;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }
  const over = ([red, green, blue, alpha], below) =>
    [red, green, blue].map((value, at) => value * alpha + below[at] * (1 - alpha));

  function ground(element) {
    const color = element ? channels(getComputedStyle(element).backgroundColor) : [255, 255, 255, 1];
    return color[3] === 1 ? color : over(color, ground(element.parentElement));
  }
  function opacity(element) {
    return element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  }
  function luminance(color) {
    const [red, green, blue] = color.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  function contrast(element, pseudo) {
    const below = ground(element);
    const ink = channels(getComputedStyle(element, pseudo).color);
    ink[3] *= opacity(element);
    const [light, dark] = [luminance(over(ink, below)), luminance(below)].sort((one, other) => other - one);
    return (light + 0.05) / (dark + 0.05);
  }
  function judge(element, pseudo) {
    const { fontSize, fontWeight } = getComputedStyle(element, pseudo);
    const size = parseFloat(fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700) ? 3 : 4.5;
    const found = contrast(element, pseudo);
    if (found < least) mistakes.push(`contrast ${found.toFixed(2)}: ${where(element)} ${pseudo ?? ""}`);
  }
  const says = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  for (const element of all("body *")) {
    if (element.matches(":disabled, [aria-disabled=true], .unseen, option")) continue;
    if (says(element)) judge(element);
    if (element.placeholder && !element.value) judge(element, "::placeholder");
  }
  return [...new Set(mistakes)];
}
