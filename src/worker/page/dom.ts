// Elements out of data. Text is always set as text, so nothing that a peer says becomes markup.

type Child = Node | string;

/** Properties that an element has, and attributes by their names. */
type Settings = { readonly [name: string]: string | number | boolean | (() => void) | undefined };

/** Makes an element. A function is a listener: `onClick`; `class` and what has a dash or no property is an attribute. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  settings: Settings = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  configure(node, settings);
  node.append(...children);
  return node;
}

const svgNamespace = "http://www.w3.org/2000/svg";

export function svgElement(
  tag: string,
  settings: Settings = {},
  ...children: SVGElement[]
): SVGElement {
  const node = document.createElementNS(svgNamespace, tag);
  configure(node, settings);
  node.append(...children);
  return node;
}

/** Sets the text where it is another: readers of screens, and selections, are not disturbed. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

export function setAttribute(node: Element, name: string, value: string): void {
  if (node.getAttribute(name) !== value) {
    node.setAttribute(name, value);
  }
}

/** Sets the properties of an element that is there, where they are others. */
export function setHidden(node: HTMLElement, hidden: boolean): void {
  if (node.hidden !== hidden) {
    node.hidden = hidden;
  }
}

export interface Row<T> {
  readonly node: Element;
  update(item: T): void;
}

/** Rows of a list, one for each item by its key; those that stay keep their elements, and the focus in them. */
export class Rows<T> {
  readonly #parent: Element;
  readonly #keyOf: (item: T) => string;
  readonly #create: (item: T) => Row<T>;
  readonly #rows = new Map<string, Row<T>>();

  constructor(parent: Element, keyOf: (item: T) => string, create: (item: T) => Row<T>) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#create = create;
  }

  update(items: readonly T[]): void {
    const wanted = new Set(items.map(this.#keyOf));
    for (const [key, { node }] of this.#rows) {
      if (!wanted.has(key)) {
        node.remove();
        this.#rows.delete(key);
      }
    }
    let at: Element | null = this.#parent.firstElementChild;
    for (const item of items) {
      const key = this.#keyOf(item);
      const row = this.#rows.get(key) ?? this.#create(item);
      this.#rows.set(key, row);
      if (row.node === at) {
        at = at.nextElementSibling;
      } else {
        this.#parent.insertBefore(row.node, at);
      }
      row.update(item);
    }
  }
}

function configure(node: Element, settings: Settings): void {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === "function") {
      node.addEventListener(name.slice(2).toLowerCase(), (event) => {
        if (event.type === "submit") {
          event.preventDefault();
        }
        value();
      });
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== undefined && value !== false) {
      node.setAttribute(name, String(value));
    }
  }
}
