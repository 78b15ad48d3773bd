import { type Engine, EngineError } from "../../src/engine/engine.ts";
import { quiche } from "../../src/engine/quiche/quiche.ts";

/** quiche, or why tests of it have to be skipped here: its native module has binaries for some platforms only. */
export function quicheOrReason(): { readonly engine: () => Engine; readonly skip: string | false } {
  try {
    const found = quiche();
    return { engine: () => found, skip: false };
  } catch (error) {
    if (!(error instanceof EngineError)) {
      throw error;
    }
    return { engine: quiche, skip: `${error.message} (${process.platform} ${process.arch})` };
  }
}
