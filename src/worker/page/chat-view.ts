import {
  type ChatMessage,
  ChatWay,
  type Peer,
  PeerState,
} from "../gen/connectquic/worker/v1/console_pb.js";
import { consoleClient, describeFailure } from "./console-client.ts";
import { element, type Row, Rows, setHidden, setText } from "./dom.ts";
import { formatTime } from "./format.ts";
import type { PageModel } from "./page-model.ts";
import { nameOf } from "./peers-view.ts";

export interface ChatView {
  update(model: PageModel, peer: Peer): void;
}

/** A chat with a peer, on a stream or in datagrams. */
export function createChatView(root: HTMLElement): ChatView {
  let peerId = "";
  let peerName = "";
  const list = element("ol", {
    class: "messages",
    role: "log",
    "aria-label": "Messages",
    tabindex: 0,
  });
  const empty = element("p", { class: "empty" }, "Nothing said yet.");
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const text = element("input", {
    id: "message",
    name: "message",
    autocomplete: "off",
    placeholder: "Write a message",
    maxlength: 4_000,
    required: true,
  });
  const datagram = element("input", { type: "radio", name: "way", id: "way-datagram" });
  const stream = element("input", { type: "radio", name: "way", id: "way-stream", checked: true });
  const send = element("button", { class: "primary" }, "Send");
  const form = element(
    "form",
    {
      class: "compose",
      onSubmit: () => {
        const way = datagram.checked ? ChatWay.DATAGRAM : ChatWay.STREAM;
        setHidden(problem, true);
        consoleClient.sendMessage({ peerId, way, text: text.value }).then(
          () => {
            text.value = "";
          },
          (error: unknown) => {
            setText(problem, describeFailure(error));
            setHidden(problem, false);
          },
        );
      },
    },
    element("label", { for: "message", class: "visually-hidden" }, "Message"),
    text,
    send,
    element(
      "fieldset",
      { class: "ways" },
      element("legend", { class: "visually-hidden" }, "How it goes"),
      stream,
      element("label", { for: "way-stream" }, "Stream"),
      datagram,
      element("label", { for: "way-datagram" }, "Datagram"),
      element("span", { class: "hint" }, "A datagram may get lost."),
    ),
  );
  // Until somebody reads what is further up.
  let atEnd = true;
  list.addEventListener("scroll", () => {
    atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  });
  root.append(element("h3", {}, "Chat"), list, empty, problem, form);
  const rows = new Rows<ChatMessage>(
    list,
    ({ number }) => String(number),
    (message) => createMessageRow(message, peerName),
  );
  return {
    update: ({ messages }, peer) => {
      peerName = nameOf(peer);
      const shown = messages.filter((message) => message.peerId === peer.id);
      const isOther = peerId !== peer.id;
      peerId = peer.id;
      setHidden(list, shown.length === 0);
      setHidden(empty, shown.length > 0);
      rows.update(shown);
      if (isOther || atEnd) {
        list.scrollTop = list.scrollHeight;
      }
      send.disabled = peer.state !== PeerState.CONNECTED;
    },
  };
}

function createMessageRow(message: ChatMessage, peerName: string): Row<ChatMessage> {
  const isDatagram = message.way === ChatWay.DATAGRAM;
  const classes = ["message", message.outgoing ? "own" : "other", isDatagram ? "datagram" : ""];
  return {
    node: element(
      "li",
      { class: classes.join(" ").trim() },
      element("span", { class: "visually-hidden" }, message.outgoing ? "You: " : `${peerName}: `),
      element("span", { class: "text", dir: "auto" }, message.text),
      element(
        "span",
        { class: "meta" },
        `${isDatagram ? "Datagram · " : ""}${formatTime(Number(message.atMs))}`,
      ),
    ),
    // A message does not change.
    update: () => {},
  };
}
