/** The method by which a class says how `console.log` and `util.inspect` show it. The same symbol in every runtime. */
export const inspect: unique symbol = Symbol.for("nodejs.util.inspect.custom");
