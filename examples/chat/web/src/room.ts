/** What the page and the actors say to each other. */

import { createClient } from "rivetkit/client";

export interface Message {
  id: number;
  author: string;
  text: string;
  sent_at: string | Date;
}

export interface Member {
  name: string;
  since: string | Date;
}

export interface Typing {
  name: string;
  active: boolean;
}

export type Status = "idle" | "connecting" | "connected" | "disconnected";

export interface Problem {
  group: string;
  code: string;
  message: string;
}

export interface Listener {
  messages(messages: Message[]): void;
  members(members: Member[]): void;
  typing(typing: Typing): void;
  status(status: Status): void;
  problem(problem: Problem): void;
}

const client = createClient({
  endpoint: import.meta.env.VITE_RIVET_ENDPOINT ?? `http://${location.hostname}:6420`,
  devtools: false,
});

// --8<-- [start:join]
/** Join a room. The client restores the connection by itself whenever it breaks. */
export function join(room: string, name: string, listener: Listener) {
  const connection = client.chatRoom.getOrCreate([room]).connect({ name });

  connection.on("newMessage", (message: Message) => listener.messages([message]));
  connection.on("membersChanged", (members: Member[]) => listener.members(members));
  connection.on("typing", (typing: Typing) => listener.typing(typing));
  connection.onStatusChange((status: Status) => listener.status(status));
  connection.onError((problem: Problem) => listener.problem(problem));
  // Events are not replayed. What was said while the connection was down is in the history.
  connection.onOpen(() => {
    connection.history().then(listener.messages, listener.problem);
  });

  return {
    say: (text: string): Promise<Message> => connection.sendMessage(text),
    setTyping: (active: boolean): Promise<void> => connection.setTyping(active),
    leave: (): Promise<void> => connection.dispose(),
  };
}
// --8<-- [end:join]

export type Room = ReturnType<typeof join>;

/** Keep a list of all rooms up to date. */
export function listRooms(show: (rooms: string[]) => void) {
  const connection = client.directory.getOrCreate().connect();
  connection.on("changed", show);
  connection.onOpen(() => {
    connection.rooms().then(show, () => undefined);
  });
  return { leave: (): Promise<void> => connection.dispose() };
}
