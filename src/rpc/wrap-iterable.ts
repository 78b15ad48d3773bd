/**
 * The same values, each `next` going through `each`. Connect's pipelines need `throw` and `return` to reach a handler's
 * generator, so those pass through; `onLeft` is called before.
 */
export function wrapIterable<T>(
  values: AsyncIterable<T>,
  each: (iterator: AsyncIterator<T>) => Promise<IteratorResult<T>>,
  onLeft: () => void = () => {},
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = values[Symbol.asyncIterator]();
      const wrapped: AsyncIterator<T> = { next: () => each(iterator) };
      if (iterator.throw !== undefined) {
        wrapped.throw = (error) => {
          onLeft();
          return iterator.throw?.(error) ?? Promise.reject(error);
        };
      }
      if (iterator.return !== undefined) {
        wrapped.return = (value) => {
          onLeft();
          return iterator.return?.(value) ?? Promise.resolve({ done: true, value });
        };
      }
      return wrapped;
    },
  };
}
