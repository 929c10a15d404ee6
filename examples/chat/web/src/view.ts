/** What is on the screen. */

import type { Member, Message, Status } from "./room";

const SAME_BREATH = 3 * 60_000;

export function find<E extends Element = HTMLElement>(selector: string): E {
  const element = document.querySelector<E>(selector);
  if (element === null) throw new Error(`no ${selector} in the page`);
  return element;
}

function make(tag: string, className: string, text = ""): HTMLElement {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/** One colour a person. */
function hue(name: string): string {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)!) % 360;
  return String(sum);
}

export function showMe(name: string): void {
  find("#me").replaceChildren(avatar(name), make("span", "name", name));
}

function avatar(name: string): HTMLElement {
  const initials = name
    .split(/\s+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => [...word][0].toUpperCase())
    .join("");
  const element = make("span", "avatar", initials);
  element.style.setProperty("--hue", hue(name));
  element.ariaHidden = "true";
  return element;
}

export function showStatus(status: Status, wasConnected: boolean): void {
  const words: Record<Status, string> = {
    idle: "Not connected",
    connecting: wasConnected ? "Reconnecting…" : "Connecting…",
    connected: "Connected",
    disconnected: "Reconnecting…",
  };
  const element = find("#status");
  element.textContent = words[status];
  element.dataset.status = status;
  const connected = status === "connected";
  const text = find<HTMLTextAreaElement>("#composer textarea");
  text.placeholder = connected ? "Write a message" : "Waiting for the connection…";
  find<HTMLButtonElement>("#composer button").disabled = !connected;
}

export function showRooms(rooms: string[], current: string): void {
  const names = rooms.includes(current) ? rooms : [...rooms, current].sort();
  find("#rooms").replaceChildren(
    ...names.map((name) => {
      const link = make("a", "", name) as HTMLAnchorElement;
      link.href = `#${encodeURIComponent(name)}`;
      if (name === current) link.ariaCurrent = "page";
      return link;
    }),
  );
}

export function showMembers(members: Member[], me: string): void {
  const windows = new Map<string, number>();
  for (const { name } of members) windows.set(name, (windows.get(name) ?? 0) + 1);
  find("#count").textContent = windows.size ? String(windows.size) : "";
  find("#members").replaceChildren(
    ...[...windows].sort(([a], [b]) => a.localeCompare(b)).map(([name, count]) => {
      const item = make("li", "");
      item.append(avatar(name), make("span", "name", name));
      if (name === me) item.append(make("span", "note", "you"));
      if (count > 1) item.append(make("span", "note", `×${count}`));
      return item;
    }),
  );
}

const log = find("#log");
let atEnd = true;

log.addEventListener("scroll", () => {
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
});

// Who reads the newest message goes on seeing it when the field below grows.
new ResizeObserver(stayAtEnd).observe(log);

function stayAtEnd(): void {
  if (atEnd) log.scrollTop = log.scrollHeight;
}

export function showMessages(messages: Message[], me: string): void {
  if (messages.length === 0) {
    atEnd = true;
    log.replaceChildren(make("li", "empty", "Nothing has been said yet. Say hello!"));
    return;
  }
  let before: Message | undefined;
  log.replaceChildren(
    ...messages.map((message) => {
      const item = showMessage(message, before, me);
      before = message;
      return item;
    }),
  );
  stayAtEnd();
}

function showMessage(message: Message, before: Message | undefined, me: string): HTMLElement {
  const at = new Date(message.sent_at);
  const together =
    before !== undefined &&
    before.author === message.author &&
    at.getTime() - new Date(before.sent_at).getTime() < SAME_BREATH;
  const item = make("li", message.author === me ? "message mine" : "message");
  item.classList.toggle("together", together);
  const bubble = make("div", "bubble", message.text);
  if (!together) {
    const head = make("div", "head");
    const time = make("time", "", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    (time as HTMLTimeElement).dateTime = at.toISOString();
    head.append(make("b", "", message.author === me ? "You" : message.author), time);
    item.append(avatar(message.author), head);
  }
  item.append(bubble);
  return item;
}

export function showTyping(names: string[]): void {
  const element = find("#typing");
  if (names.length === 0) element.replaceChildren();
  else {
    const who =
      names.length > 2
        ? "Several people are typing"
        : `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} typing`;
    element.replaceChildren(make("span", "dots"), document.createTextNode(who));
  }
}

export function toast(text: string): void {
  const element = make("div", "toast", text);
  find("#toasts").append(element);
  setTimeout(() => element.remove(), 6000);
}
