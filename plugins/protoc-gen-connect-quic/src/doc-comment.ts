import type { DescService } from "@bufbuild/protobuf";
import { parentTypes } from "@bufbuild/protobuf/reflect";
import { getComments } from "@bufbuild/protoplugin";

/**
 * Text of the doc comment on a function or type that is generated for a service: a summary of ours, `details` (for
 * example {@link commentsOn}) as paragraphs, and the marks that protoc-gen-es puts on the descriptor.
 */
export function docComment(
  service: DescService,
  summary: string,
  details: readonly string[] = [],
): string {
  // A deprecated file deprecates all that is in it.
  const deprecated = [service, ...parentTypes(service)].some((desc) => desc.deprecated);
  const marks = `@generated from ${service}${deprecated ? "\n@deprecated" : ""}`;
  return [summary, ...details, marks].join("\n\n");
}

/** The comments before and behind the service in its .proto file. */
export function commentsOn(service: DescService): string[] {
  const { leading, trailing } = getComments(service);
  return [leading, trailing].filter((comment) => comment !== undefined).map(withoutMargin);
}

/** Protobuf comments keep the space behind `//` on each line, and the end of the last line. */
function withoutMargin(comment: string): string {
  return comment.trimEnd().replace(/^ /gm, "");
}
