/** Why a test of memory that is given back is skipped here, or false. */
export const cannotRelease: string | false =
  "transfer" in ArrayBuffer.prototype ? false : "this Node.js cannot take memory away";
