/** What the page and the actors say to each other. */

import { createClient, type ActorConn } from "rivetkit/client";

export interface Message {
  id: number;
  author: string;
  text: string;
  sent_at: string | Date;
}

export interface Member {
  id: string;
  name: string;
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

export interface Snapshot {
  messages: Message[];
  members: Member[];
}

export interface Listener {
  snapshot(snapshot: Snapshot): void;
  message(message: Message): void;
  joined(member: Member): void;
  left(member: Member): void;
  typing(typing: Typing): void;
  status(status: Status): void;
  problem(problem: Problem): void;
}

const client = createClient({
  endpoint: import.meta.env.VITE_RIVET_ENDPOINT ?? `http://${location.hostname}:6420`,
  devtools: false,
});

// --8<-- [start:join]
/** Join a room. */
export function join(room: string, name: string, listener: Listener) {
  const line = keepOpen(() => {
    const connection = client.chatRoom.getOrCreate([room]).connect({ name });
    connection.on("newMessage", listener.message);
    connection.on("joined", listener.joined);
    connection.on("left", listener.left);
    connection.on("typing", listener.typing);
    afterOpen(connection, () => {
      connection.snapshot().then(listener.snapshot, listener.problem);
    });
    return connection;
  }, listener);

  return {
    say: (text: string): Promise<Message> => line.connection.sendMessage(text),
    setTyping: (active: boolean): Promise<void> => line.connection.setTyping(active),
    leave: line.close,
  };
}
// --8<-- [end:join]

export type Room = ReturnType<typeof join>;

/** Keep a list of all rooms up to date. */
export function listRooms(show: (rooms: string[]) => void) {
  const line = keepOpen(() => {
    const connection = client.directory.getOrCreate().connect();
    connection.on("changed", show);
    afterOpen(connection, () => {
      connection.rooms().then(show, () => undefined);
    });
    return connection;
  });
  return { leave: line.close };
}

/**
 * Do something whenever the connection has been opened. Events are not replayed, so what happened
 * before has to be asked for; and only after the subscriptions, which the client sends right after
 * it has called `onOpen`, so that nothing falls in between.
 */
function afterOpen(connection: ActorConn<any>, ask: () => void): void {
  connection.onOpen(() => {
    setTimeout(ask);
  });
}

/** Errors that say something of the way to the actor, not of what was asked. They pass. */
const PASSING = new Set(["client", "guard", "pegboard", "ws"]);

// --8<-- [start:keep-open]
/**
 * Keep a connection open. The client does so by itself as long as a server answers; when nobody
 * does (a restart, no network) it becomes "idle" for good, and only a new connection helps.
 */
function keepOpen<C extends ActorConn<any>>(
  open: () => C,
  listener?: Pick<Listener, "status" | "problem">,
) {
  let connection: C;
  let closed = false;
  let pause = 500;

  function start(): void {
    let refused = false;
    connection = open();
    connection.onError((problem: Problem) => {
      if (PASSING.has(problem.group)) return;
      refused = true;
      listener?.problem(problem);
    });
    connection.onStatusChange((status: Status) => {
      if (closed) return;
      if (status === "connected") pause = 500;
      const again = status === "idle" && !refused;
      if (again) {
        setTimeout(() => closed || start(), pause);
        pause = Math.min(pause * 2, 10_000);
      }
      listener?.status(again ? "disconnected" : status);
    });
  }

  start();
  return {
    get connection(): C {
      return connection;
    },
    close(): Promise<void> {
      closed = true;
      return connection.dispose();
    },
  };
}
// --8<-- [end:keep-open]
