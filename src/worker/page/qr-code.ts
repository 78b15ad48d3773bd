import encodeQR from "qr";
import { svgElement } from "./dom.ts";

/** The empty frame that readers want, in squares. */
const border = 2;

/** A drawing of the text for cameras. Throws for more than a code can hold. */
export function qrCode(text: string, label: string): SVGElement {
  const squares = encodeQR(text, "raw", { ecc: "low", border });
  const size = squares.length;
  const path = squares
    .flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])))
    .join("");
  return svgElement(
    "svg",
    { viewBox: `0 0 ${size} ${size}`, class: "qr", role: "img", "aria-label": label },
    svgElement("path", { d: path, "shape-rendering": "crispEdges" }),
  );
}
