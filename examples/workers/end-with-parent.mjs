// Preloaded (`node --import`), it has a program end as by Ctrl-C when its stdin does, so also when its parent was killed.

process.stdin.resume().once("close", () => {
  if (!process.emit("SIGTERM")) {
    process.exit();
  }
});
// It is for the program to say how long it goes on.
process.stdin.unref();
