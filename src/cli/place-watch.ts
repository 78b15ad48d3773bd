import type { Connection } from "../endpoint/connection.ts";
import { isSamePlace, type PathPlace, placeInUse } from "./path-place.ts";

/** Notices when data to a peer goes another way, also when one connection takes the place of another. */
export class PlaceWatch {
  readonly #changed: (from: PathPlace, to: PathPlace) => void;
  #connection: Connection | undefined;
  #stopListening = (): void => {};
  #place: PathPlace | undefined;

  constructor(changed: (from: PathPlace, to: PathPlace) => void) {
    this.#changed = changed;
  }

  /** Watches this connection from now on. Returns the way that data goes. */
  follow(connection: Connection): PathPlace {
    if (connection !== this.#connection) {
      this.stop();
      this.#connection = connection;
      this.#stopListening = connection.onPathsChanged(() => this.#look(connection));
    }
    return this.#look(connection);
  }

  stop(): void {
    this.#stopListening();
    this.#connection = undefined;
  }

  #look(connection: Connection): PathPlace {
    const place = placeInUse(connection);
    const before = this.#place;
    this.#place = place;
    if (before !== undefined && !isSamePlace(before, place)) {
      this.#changed(before, place);
    }
    return place;
  }
}
