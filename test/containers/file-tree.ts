// Builds an image as a plain folder, which begins with the little that the Dockerfile needs of its base image, and runs
// programs in it by chroot, in namespaces of their own.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { parseDockerfile, parseIgnore, type Stage } from "./dockerfile.ts";

const context = fileURLToPath(new URL("../..", import.meta.url));
const file = join(context, "containers/Dockerfile");

/** What the commands of the Dockerfile call, besides node and npm; every base image has them. */
const tools = ["/bin/sh", "/bin/mkdir", "/bin/chown", "/usr/bin/env"];
/** What npm needs to know to reach a registry, and its cache. */
const npmFiles = [join(homedir(), ".npmrc"), "/usr/local/etc/npmrc"];
const networkFiles = ["/etc/resolv.conf", "/etc/hosts"];
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const buildTimeoutMs = 600_000;

/** What a container is made of. */
export interface Image {
  readonly root: string;
  readonly environment: ReadonlyMap<string, string>;
  readonly workdir: string;
  /** "uid:gid" */
  readonly user: string;
  readonly volumes: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
}

/** Why no image can be built here; undefined if it can. */
export function cannotBuild(): string | undefined {
  const { status } = spawnSync("unshare", ["--mount", "--net", "sh", "-c", "ip link set lo up"]);
  return status === 0
    ? undefined
    : "this machine lets nobody make namespaces, or has no unshare or ip: it takes root on Linux";
}

/** The stages of containers/Dockerfile, built when they are asked for. `close` removes them. */
export class Build implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "connect-quic-containers-"));
  readonly #stages: readonly Stage[] = parseDockerfile(readFileSync(file, "utf8"));
  readonly #inContext = parseIgnore(readFileSync(`${file}.dockerignore`, "utf8"));
  readonly #images = new Map<string, Image>();

  /** Throws with what was printed when a line fails. */
  image(name: string): Image {
    const known = this.#images.get(name);
    if (known !== undefined) {
      return known;
    }
    const stage = this.#stages.find((each) => each.name === name);
    let image: Image;
    if (stage === undefined) {
      image = this.#baseImage(name);
    } else {
      image = { ...this.image(stage.base), root: join(this.#folder, name) };
      copyTree(this.image(stage.base).root, image.root);
      for (const instruction of stage.instructions) {
        image = this.#apply(image, instruction);
      }
    }
    this.#images.set(name, image);
    return image;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #apply(image: Image, instruction: Stage["instructions"][number]): Image {
    switch (instruction.type) {
      case "workdir":
        mkdirSync(join(image.root, instruction.path), { recursive: true });
        return { ...image, workdir: instruction.path };
      case "copy":
        for (const source of instruction.sources) {
          this.#copy(image, source, instruction.destination, instruction.from);
        }
        return image;
      case "run":
        runInBuild(image, instruction.script);
        return image;
      case "env":
        return {
          ...image,
          environment: new Map([...image.environment, [instruction.name, instruction.value]]),
        };
      case "user":
        return { ...image, user: instruction.user };
      case "volume":
        return { ...image, volumes: [...image.volumes, instruction.path] };
      case "expose":
        return image;
      case "entrypoint":
      case "cmd":
      case "healthcheck":
        return { ...image, [instruction.type]: instruction.command };
      default:
        return instruction satisfies never;
    }
  }

  #copy(image: Image, source: string, destination: string, from: string | undefined): void {
    let origin: string;
    if (from === undefined) {
      const isThere = this.#inContext.some(
        (each) => source === each || source.startsWith(`${each}/`) || source === `${each}/`,
      );
      if (!isThere) {
        throw new Error(`${source} is not in the context: see Dockerfile.dockerignore`);
      }
      origin = join(context, source);
    } else {
      origin = join(this.image(from).root, source);
    }
    const target = join(image.root, posix.resolve(image.workdir, destination));
    cpSync(origin, destination.endsWith("/") ? join(target, posix.basename(source)) : target, {
      recursive: true,
      verbatimSymlinks: true,
    });
  }

  /** As much of an image with Node.js as is used, out of this machine's. */
  #baseImage(name: string): Image {
    if (!/^node:\d+-alpine$/.test(name)) {
      throw new Error(`no idea what is in the image ${name}`);
    }
    const root = join(this.#folder, name);
    const node = "/usr/local/bin/node";
    putFile(realpathSync(process.execPath), join(root, node));
    for (const tool of tools) {
      putFile(realpathSync(tool), join(root, tool));
    }
    for (const library of new Set([process.execPath, ...tools].flatMap(librariesOf))) {
      putFile(library, join(root, library));
    }
    const npm = dirname(dirname(realpathSync(commandPath("npm"))));
    copyTree(npm, join(root, "usr/local/lib/node_modules/npm"));
    symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/local/bin/npm"));
    for (const folder of ["dev", "proc", "tmp", "root/.npm", "etc"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    return {
      root,
      environment: new Map([["PATH", path]]),
      workdir: "/",
      user: "0:0",
      volumes: [],
      entrypoint: [],
      cmd: [],
      healthcheck: [],
    };
  }
}

export interface Container {
  readonly child: ChildProcess;
  /** Runs the health check beside it. */
  checkHealth(): { readonly code: number | null; readonly output: string };
}

/**
 * Starts an image's program as a container runtime would that lets it write to nothing but its volumes: as its user, with
 * its environment alone, in a network of its own.
 */
export function startContainer(image: Image): Container {
  const child = spawn(
    "unshare",
    [
      ...["--mount", "--net", "sh", "-euc", enterReadOnly, image.root, image.user, image.workdir],
      ...[String(image.volumes.length), ...image.volumes],
      ...[...image.entrypoint, ...image.cmd],
    ],
    { env: Object.fromEntries(image.environment), stdio: ["ignore", "pipe", "pipe"] },
  );
  return {
    child,
    checkHealth: () => {
      const inside = ["--target", String(child.pid), "--mount", "--net", "--"];
      const { status, stdout, stderr } = spawnSync(
        "nsenter",
        [...inside, ...chroot(image), ...image.healthcheck],
        { env: Object.fromEntries(image.environment), encoding: "utf8", timeout: 30_000 },
      );
      return { code: status, output: stdout + stderr };
    },
  };
}

/** $0: the tree, $1: the user, $2: the folder to begin in, $3: how many volumes, then these, and the command. */
const enterReadOnly = `
  ip link set lo up
  root=$0 user=$1 workdir=$2 volumes=$3
  shift 3
  mount --bind "$root" "$root"
  mount -o remount,bind,ro "$root"
  while [ "$volumes" -gt 0 ]; do
    mount -t tmpfs -o "mode=755,uid=\${user%:*},gid=\${user#*:}" volume "$root$1"
    volumes=$((volumes - 1))
    shift
  done
  mount --bind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  exec chroot --userspec="$user" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$workdir" "$@"
`;

/** Runs a line in the tree, which then may use the network, and npm's cache. Throws with its output when it fails. */
function runInBuild(image: Image, script: string): void {
  const cache = npmConfig("cache");
  mkdirSync(cache, { recursive: true });
  const bound = [...npmFiles, ...networkFiles, process.env.NODE_EXTRA_CA_CERTS ?? ""].filter(
    (each) => each !== "" && existsSync(each),
  );
  const files = bound.flatMap((each) => [
    each,
    join(image.root, each.startsWith(homedir()) ? `/root${each.slice(homedir().length)}` : each),
  ]);
  for (const target of files.filter((_, at) => at % 2 === 1)) {
    mkdirSync(dirname(target), { recursive: true });
    if (!existsSync(target)) {
      writeFileSync(target, "");
    }
  }
  const { status, stdout, stderr, error } = spawnSync(
    "unshare",
    [
      ...["--mount", "sh", "-euc", enterBuild, image.root, cache, String(files.length), ...files],
      ...[...chroot(image), "/bin/sh", "-c", script],
    ],
    {
      env: { ...networkEnvironment(), ...Object.fromEntries(image.environment), HOME: "/root" },
      encoding: "utf8",
      timeout: buildTimeoutMs,
    },
  );
  if (status !== 0) {
    throw new Error(`RUN ${script}: ${error?.message ?? status}\n${stdout}${stderr}`);
  }
}

/** $0: the tree, $1: npm's cache, $2: how many files, then pairs of them: what is laid over what; then the command. */
const enterBuild = `
  root=$0 files=$2
  mount --bind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount --bind "$1" "$root/root/.npm"
  shift 2
  while [ "$files" -gt 0 ]; do
    mount --bind "$1" "$2"
    files=$((files - 2))
    shift 2
  done
  exec "$@"
`;

function chroot({ root, user, workdir }: Image): string[] {
  return ["chroot", `--userspec=${user}`, root, "/bin/sh", "-c", 'cd "$0" && exec "$@"', workdir];
}

/** What says how the network is reached, as builders hand it on, and that what was fetched once need not be again. */
function networkEnvironment(): Record<string, string> {
  const names = /^(?:(?:https?|no)_proxy|node_extra_ca_certs|npm_config_registry)$/i;
  const found = Object.entries(process.env).flatMap(([name, value]) =>
    names.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  return { ...Object.fromEntries(found), npm_config_prefer_offline: "true", CI: "true" };
}

function npmConfig(name: string): string {
  return spawnSync("npm", ["config", "get", name], { encoding: "utf8" }).stdout.trim();
}

function commandPath(name: string): string {
  const found = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
  if (found === "") {
    throw new Error(`no ${name}`);
  }
  return found;
}

function librariesOf(program: string): string[] {
  const { stdout } = spawnSync("ldd", [realpathSync(program)], { encoding: "utf8" });
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].flatMap(([, library]) => library ?? []);
}

function putFile(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(source, target);
}

function copyTree(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  cpSync(source, target, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
}
