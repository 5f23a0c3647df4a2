/* What pages that are live have in common: a part that the server renders anew is put in place where it differs. */
"use strict";

/**
 * Make `old` like `fresh` where they differ, so that focus stays and a screen reader reads only what is new. What was
 * unfolded stays so, and what `stays(old, fresh)` says stays as it is.
 */
function patch(old, fresh, stays = () => false) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.nodeType !== Node.ELEMENT_NODE || old.id !== fresh.id) {
    return old.replaceWith(fresh);
  }
  if (stays(old, fresh)) return;
  if (old.nodeName === "DETAILS" && old.open) fresh.open = true;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  const nodes = [...fresh.childNodes];
  for (const extra of [...old.childNodes].slice(nodes.length)) extra.remove();
  nodes.forEach((node, at) => (old.childNodes[at] ? patch(old.childNodes[at], node, stays) : old.append(node)));
}
