import type { GeneratedFile, Printable, Target } from "@bufbuild/protoplugin";

/** One thing that a generated file exports, be the file TypeScript, JavaScript or declarations. */
export type Declaration = TypeDeclaration | FunctionDeclaration | ConstantDeclaration;

export interface TypeDeclaration {
  readonly kind: "type";
  readonly name: string;
  readonly doc: string;
  readonly type: Printable;
}

export interface FunctionDeclaration {
  readonly kind: "function";
  readonly name: string;
  readonly doc: string;
  readonly parameters: readonly Parameter[];
  readonly returnType: Printable;
  /** The only statement of the body, without its semicolon. */
  readonly body: Printable;
}

export interface Parameter {
  readonly name: Printable;
  readonly type: Printable;
  readonly optional?: true;
}

export interface ConstantDeclaration {
  readonly kind: "constant";
  readonly name: string;
  readonly doc: string;
  /** A literal, which is its own type. */
  readonly value: Printable;
}

/** Prints what `target` has of a declaration; that is nothing for a type in JavaScript. */
export function printDeclaration(f: GeneratedFile, target: Target, declaration: Declaration): void {
  if (declaration.kind === "type" && target === "js") {
    return;
  }
  f.print(f.jsDoc(declaration.doc));
  switch (declaration.kind) {
    case "type":
      f.print`${f.export("type", declaration.name)} = ${declaration.type};`;
      break;
    case "function":
      printFunction(f, target, declaration);
      break;
    case "constant":
      f.print`${f.export(ambient(target, "const"), declaration.name)} = ${declaration.value};`;
      break;
    default:
      declaration satisfies never;
  }
  f.print();
}

/** A piece of code to print, written as a template. */
export function code(fragments: TemplateStringsArray, ...values: Printable[]): Printable {
  return fragments.flatMap((fragment, index) => [fragment, values[index] ?? ""]);
}

function printFunction(f: GeneratedFile, target: Target, declaration: FunctionDeclaration): void {
  const annotation = (colon: string, type: Printable) => (target === "js" ? "" : [colon, type]);
  f.print`${f.export(ambient(target, "function"), declaration.name)}(`;
  for (const { name, type, optional } of declaration.parameters) {
    f.print`  ${name}${annotation(optional ? "?: " : ": ", type)},`;
  }
  const returns = annotation(": ", declaration.returnType);
  if (target === "dts") {
    f.print`)${returns};`;
  } else {
    f.print`)${returns} {`;
    f.print`  ${declaration.body};`;
    f.print`}`;
  }
}

function ambient(target: Target, keyword: "function" | "const"): string {
  return target === "dts" ? `declare ${keyword}` : keyword;
}
