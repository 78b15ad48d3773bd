/** What the code generated for one service is called. */
export interface ServiceNames {
  /** Function that makes a client: `createElizaClient`. */
  readonly createClient: string;
  /** Type of that client: `ElizaClient`. */
  readonly client: string;
  /** Function that registers handlers: `registerElizaService`. */
  readonly register: string;
  /** Type of those handlers: `ElizaServiceImpl`. */
  readonly implementation: string;
  /** Constant with the ALPN: `ElizaServiceAlpn`. */
  readonly alpn: string;
}

/**
 * Names for the service `name`, which stands in one file with `siblings` (all services of the file; `name` itself may be
 * among them). No two services of a file share a name, and a name hangs on no other file.
 */
export function namesOf(name: string, siblings: readonly string[]): ServiceNames {
  const title = titleOf(name, siblings);
  const short = withoutSuffix(title, siblings);
  return {
    createClient: `create${short}Client`,
    client: `${short}Client`,
    register: `register${title}`,
    implementation: `${title}Impl`,
    alpn: `${title}Alpn`,
  };
}

/**
 * `eliza` becomes `Eliza`. Where the file has a service `Eliza` too, it becomes `$eliza`, which nothing else can be:
 * Protobuf knows no `$`, and names that start with it or with a capital never meet `create…` and `register…`.
 */
function titleOf(name: string, siblings: readonly string[]): string {
  const title = name.charAt(0).toUpperCase() + name.slice(1);
  return title !== name && siblings.includes(title) ? `$${name}` : title;
}

/** `ElizaService` becomes `Eliza`, except where the file has a service that is called so. */
function withoutSuffix(title: string, siblings: readonly string[]): string {
  const short = title.replace(/(?<=.)Service$/, "");
  const taken = siblings.some((sibling) => titleOf(sibling, siblings) === short);
  return taken ? title : short;
}
