/** What to print instead of generating code, and how the process ends. */
export interface Notice {
  readonly text: string;
  readonly exitCode: 0 | 1;
}

/**
 * What to say to someone who starts the plugin by hand: it answers --help and --version, and explains itself instead of
 * waiting for a request that nobody will type. Undefined when buf or protoc runs it.
 */
export function noticeFor(
  args: readonly string[],
  { version, stdinIsTerminal }: { readonly version: string; readonly stdinIsTerminal: boolean },
): Notice | undefined {
  const [first] = args;
  switch (first) {
    case undefined:
      return stdinIsTerminal ? { text: usage, exitCode: 1 } : undefined;
    case "-h":
    case "--help":
      return { text: usage, exitCode: 0 };
    case "-v":
    case "--version":
      return { text: `protoc-gen-connect-quic ${version}\n`, exitCode: 0 };
    default:
      return { text: `unknown argument: ${first}\n\n${usage}`, exitCode: 1 };
  }
}

const usage = `protoc-gen-connect-quic generates typed connect-quic clients and registrations from .proto files.
It is run by buf or protoc, beside protoc-gen-es, and reads a CodeGeneratorRequest from standard input.

With buf, in buf.gen.yaml, then \`npx buf generate\`:

  version: v2
  plugins:
    - local: protoc-gen-es
      out: gen
      opt: [target=ts, import_extension=js]
    - local: protoc-gen-connect-quic
      out: gen
      opt: [target=ts, import_extension=js]

With protoc:

  PATH=$PATH:node_modules/.bin protoc eliza.proto \\
    --es_out=gen --es_opt=target=ts,import_extension=js \\
    --connect-quic_out=gen --connect-quic_opt=target=ts,import_extension=js

Options are those of protoc-gen-es that all plugins of its family share: target, import_extension,
js_import_style, keep_empty_files, rewrite_imports, ts_nocheck, elide_plugin_version.
`;
