// What a page does with the official client; bundled and run in a browser by test_browser.py.
import { createClient } from "rivetkit/client";

globalThis.runPage = async (endpoint, encoding) => {
	const client = createClient({ endpoint, encoding });
	const key = [`page-${encoding}-${crypto.randomUUID()}`];
	const counter = client.counter.getOrCreate(key);
	const seen = {};
	// POST with a stream as its body, which Chromium sends over HTTP/2 only.
	seen.actions = [await counter.increment(5), await counter.increment(), await counter.get()];
	seen.resolved = (await counter.resolve()).length;
	seen.byId = await client.counter.getForId(await counter.resolve()).get();
	seen.created = await (await client.counter.create([...key, "new"])).get();
	seen.bytes = Array.from(await client.calls.getOrCreate(key).echo(new Uint8Array([0, 255])));
	seen.error = await counter.incrementAndRefuse().then(
		() => null,
		({ group, code, message, metadata }) => ({ group, code, message, metadata }),
	);
	const web = client.web.getOrCreate(key, { params: { name: "ada" } });
	const posted = await web.fetch("x?q=1", { method: "POST", body: "text" });
	seen.fetched = await posted.json().then(({ method, query, body }) => ({ method, query, body }));
	const conn = client.room.getOrCreate(key).connect({ name: "Zoë 💙" });
	const heard = [];
	conn.on("message", (message) => heard.push(message.text));
	seen.said = [await conn.say("one"), await conn.say("two")];
	seen.me = (await conn.me()).name;
	seen.heard = heard;
	await conn.dispose();
	const socket = await web.webSocket("echo");
	seen.raw = await new Promise((resolve) => {
		const frames = [];
		socket.addEventListener("message", ({ data }) => {
			frames.push(data);
			if (frames.length === 1) socket.send("back");
			else resolve(frames);
		});
	});
	socket.close();
	await client.dispose();
	const entries = performance.getEntriesByType("resource");
	seen.protocols = [...new Set(entries.map((entry) => entry.nextHopProtocol).filter(Boolean))];
	return seen;
};
