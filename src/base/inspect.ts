/**
 * Says how `console.log` and `util.inspect` show the objects of a class. For a static block: TypeScript cannot put a
 * method with this symbol for a name into declarations.
 */
export function showAs<T extends object>(
  type: { readonly prototype: T },
  show: (value: T) => string,
): void {
  Object.defineProperty(type.prototype, Symbol.for("nodejs.util.inspect.custom"), {
    value(this: T): string {
      return show(this);
    },
  });
}
