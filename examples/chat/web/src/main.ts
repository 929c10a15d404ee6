import "./style.css";

import { join, listRooms } from "./room";
import type { Listener, Member, Message, Problem, Room } from "./room";
import {
  find,
  showMe,
  showMembers,
  showMessages,
  showRooms,
  showStatus,
  showTyping,
  toast,
} from "./view";

const TYPING_AGAIN = 2_000;
const TYPING_ENDS = 4_000;

let me = sessionStorage.getItem("name") ?? "";
let rooms: string[] = [];
let directory: ReturnType<typeof listRooms> | undefined;
let room: Room | undefined;

function roomName(): string {
  const name = location.hash.slice(1);
  try {
    return decodeURIComponent(name) || "lobby";
  } catch {
    return name;
  }
}

// -- joining ---------------------------------------------------------------------------------

const joining = find<HTMLFormElement>("#join");

function field(form: HTMLFormElement, name: string): HTMLInputElement {
  return form.elements.namedItem(name) as HTMLInputElement;
}

function ask(problem = ""): void {
  leave();
  find("#chat").hidden = true;
  joining.hidden = false;
  field(joining, "name").value = me;
  field(joining, "room").value = roomName();
  const alert = find("#join .problem");
  alert.textContent = problem;
  alert.hidden = !problem;
  field(joining, "name").focus();
}

joining.addEventListener("submit", (event) => {
  event.preventDefault();
  me = field(joining, "name").value.trim();
  sessionStorage.setItem("name", me);
  go(field(joining, "room").value);
});

function go(name: string): void {
  const hash = `#${encodeURIComponent(name.trim())}`;
  if (location.hash === hash) enter();
  else location.hash = hash;
}

function leave(): void {
  void room?.leave();
  void directory?.leave();
  room = directory = undefined;
}

// -- a room ----------------------------------------------------------------------------------

function enter(): void {
  if (!me) return ask();
  leave();
  joining.hidden = true;
  find("#chat").hidden = false;
  setMenu(false);

  const name = roomName();
  document.title = `${name} · Chat`;
  find("#title").textContent = name;
  showMe(me);
  showRooms(rooms, name);
  showMembers([], me);
  showMessages([], me);
  showStatus("connecting", false);
  showTyping([]);

  directory = listRooms((list) => {
    rooms = list;
    showRooms(rooms, name);
  });
  room = join(name, me, listen());
  find<HTMLTextAreaElement>("#composer textarea").focus();
}

function listen(): Listener {
  const messages = new Map<number, Message>();
  const members = new Map<string, Member>();
  const gone = new Set<string>();
  const typing = new Map<string, ReturnType<typeof setTimeout>>();
  let wasConnected = false;

  const stopTyping = (name: string): void => {
    clearTimeout(typing.get(name));
    typing.delete(name);
  };

  const show = (): void => {
    showMessages([...messages.values()].sort((a, b) => a.id - b.id), me);
    showMembers([...members.values()], me);
    showTyping([...typing.keys()]);
  };

  const listener: Listener = {
    snapshot(snapshot) {
      for (const message of snapshot.messages) messages.set(message.id, message);
      members.clear();
      for (const member of snapshot.members) {
        // An answer can be older than an event that came before it.
        if (!gone.has(member.id)) members.set(member.id, member);
      }
      show();
    },
    message(message) {
      messages.set(message.id, message);
      stopTyping(message.author);
      show();
    },
    joined(member) {
      members.set(member.id, member);
      show();
    },
    left(member) {
      gone.add(member.id);
      members.delete(member.id);
      show();
    },
    typing({ name, active }) {
      stopTyping(name);
      if (active) {
        typing.set(name, setTimeout(() => listener.typing({ name, active: false }), TYPING_ENDS + 1_000));
      }
      showTyping([...typing.keys()]);
    },
    status(status) {
      showStatus(status, wasConnected);
      wasConnected ||= status === "connected";
    },
    problem(problem) {
      if (wasConnected) toast(problem.message);
      else ask(problem.message); // refused at the door: the name is not acceptable
    },
  };
  return listener;
}

// -- writing ---------------------------------------------------------------------------------

const composer = find<HTMLFormElement>("#composer");
const text = find<HTMLTextAreaElement>("#composer textarea");
let typingSince = 0;
let typingEnd: ReturnType<typeof setTimeout> | undefined;

function setTyping(active: boolean): void {
  clearTimeout(typingEnd);
  if (active) typingEnd = setTimeout(() => setTyping(false), TYPING_ENDS);
  const now = Date.now();
  if (active ? now - typingSince < TYPING_AGAIN : typingSince === 0) return;
  typingSince = active ? now : 0;
  room?.setTyping(active).catch(() => undefined);
}

text.addEventListener("input", () => setTyping(text.value.trim() !== ""));

text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    composer.requestSubmit();
  }
});

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const said = text.value;
  if (room === undefined || find<HTMLButtonElement>("#composer button").disabled) return;
  text.value = "";
  setTyping(false);
  room.say(said).catch((problem: Problem) => {
    toast(problem.message);
    if (!text.value) text.value = said;
  });
});

// -- around it -------------------------------------------------------------------------------

const menu = find<HTMLButtonElement>("#menu");

function setMenu(open: boolean): void {
  menu.ariaExpanded = String(open);
  find("#chat").classList.toggle("menu-open", open);
}

menu.addEventListener("click", () => setMenu(menu.ariaExpanded !== "true"));
find("#log").addEventListener("click", () => setMenu(false));

find<HTMLFormElement>("#new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.currentTarget as HTMLFormElement;
  go(field(form, "room").value);
  form.reset();
});

find("#leave").addEventListener("click", () => {
  sessionStorage.removeItem("name");
  me = "";
  ask();
});

addEventListener("hashchange", enter);
enter();
