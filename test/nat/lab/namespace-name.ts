/** What tells our namespaces from those of other programs. */
const prefix = "cqnat";

export interface NamespaceName {
  /** The process that made it and removes it. */
  readonly pid: number;
  /** Counts the networks of one process. */
  readonly network: number;
  /** What stands there: a host, a router, or a part of the internet. */
  readonly node: string;
}

/** Whose a namespace is can be read from its name, so that whoever comes later can remove what a killed run has left. */
export function formatNamespaceName({ pid, network, node }: NamespaceName): string {
  return `${prefix}-${pid}-${network}-${node}`;
}

/** Undefined for a name that is not one of ours. */
export function parseNamespaceName(text: string): NamespaceName | undefined {
  const [, pid, network, node] = pattern.exec(text) ?? [];
  return pid === undefined || network === undefined || node === undefined
    ? undefined
    : { pid: Number(pid), network: Number(network), node };
}

const pattern = new RegExp(`^${prefix}-(\\d{1,10})-(\\d{1,6})-([a-z0-9-]+)$`);
