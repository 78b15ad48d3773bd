import type { Presence } from "./membership.ts";
import { printable } from "./printable.ts";
import type { Room, RoomEvent } from "./room.ts";

/** What a person reads of an event in a room: lines without an end. `self` is who reads. */
export function formatEvent(
  room: Pick<Room, "name" | "history" | "present">,
  event: RoomEvent,
  self: Presence,
): string[] {
  const name = (who: Presence): string => distinctNick(who, [...authors(room), self]);
  const notice = (text: string): string[] => [`[${room.name}] * ${printable(text)}`];
  switch (event.type) {
    case "said":
      return event.messages.map((message) => {
        const who = name({ id: message.author, nick: message.nick });
        const when = event.isNews ? "" : `${clockTime(message.timeMs)} `;
        return `[${room.name}] ${when}${who}: ${printable(message.text)}`;
      });
    case "here":
      return notice(`${name(event.who)} is here`);
    case "joined":
      return notice(`${name(event.who)} has joined`);
    case "back":
      return notice(`${name(event.who)} is back`);
    case "left":
      return notice(`${name(event.who)} has left`);
    case "lost":
      return notice(`${name(event.who)} is lost: no sign of life, or the line is cut`);
    case "note":
      return notice(event.text);
    default:
      return event satisfies never;
  }
}

/** The nick, with some of the id where another has the same nick. */
function distinctNick({ id, nick }: Presence, others: Iterable<Presence>): string {
  for (const other of others) {
    if (other.nick === nick && other.id !== id) {
      return `${nick}~${id.slice(0, 4)}`;
    }
  }
  return nick;
}

function* authors(room: Pick<Room, "history" | "present">): Iterable<Presence> {
  yield* room.present;
  for (const { author, nick } of room.history) {
    yield { id: author, nick };
  }
}

/** `14:05`, in the time zone of this machine. */
function clockTime(timeMs: number): string {
  const date = new Date(timeMs);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}
