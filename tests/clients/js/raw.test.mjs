// Raw HTTP and raw WebSockets, in the encoding that pytest names.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { disposeAll, encoding, eventually, key, newClient, noCodes, textOnly } from "./support.mjs";

const client = newClient();
after(disposeAll);

function open(socket) {
	const frames = [];
	const waiting = [];
	const ended = new Promise((resolve) => {
		socket.addEventListener("close", (event) => resolve(event));
	});
	socket.addEventListener("message", (event) => {
		const take = waiting.shift();
		if (take) take(event.data);
		else frames.push(event.data);
	});
	const next = () =>
		frames.length ? Promise.resolve(frames.shift()) : new Promise((done) => waiting.push(done));
	return { next, ended, send: (data) => socket.send(data), close: (...a) => socket.close(...a) };
}

describe("fetch", () => {
	test("carries method, path, query, headers and body", async () => {
		const web = client.web.getOrCreate([key()]);
		for (const path of ["a/b?x=1&y=%C3%A9", "/a/b?x=1&y=%C3%A9"]) {
			const answer = await web.fetch(path, {
				method: "POST",
				headers: { "X-Mixed": "Case" },
				body: "text",
			});
			assert.equal(answer.status, 200);
			assert.equal(answer.headers.get("x-custom"), "Yes");
			const seen = await answer.json();
			assert.equal(seen.method, "POST");
			assert.equal(seen.path, "/a/b");
			assert.equal(seen.query, "x=1&y=%C3%A9");
			assert.equal(seen.body, "text");
			assert.ok(seen.headers.some(([name, value]) => name === "x-mixed" && value === "Case"));
			assert.ok(!seen.headers.some(([name]) => name === "x-rivet-conn-params"));
		}
	});

	test("takes every shape of path", async () => {
		const web = client.web.getOrCreate([key()]);
		for (const path of ["", "/", "x", "/x"]) {
			const seen = await (await web.fetch(path)).json();
			assert.equal(seen.path, path.startsWith("/") ? path : `/${path}`);
		}
		const seen = await (await web.fetch(new URL("http://example.com/u?q=1"))).json();
		assert.equal(seen.path, "/u");
		assert.equal(seen.query, "q=1");
	});

	test("returns every status", async () => {
		const web = client.web.getOrCreate([key()]);
		assert.equal((await web.fetch("empty")).status, 204);
		const teapot = await web.fetch("teapot");
		assert.equal(teapot.status, 418);
		assert.equal(await teapot.text(), "short and stout");
		assert.equal((await web.fetch("hit", { method: "POST" })).status, 201);
		assert.equal((await client.mute.getOrCreate([key()]).fetch("x")).status, 404);
	});

	test("returns the error of a handler", async () => {
		const web = client.web.getOrCreate([key()]);
		const refused = await web.fetch("hit-and-fail", { method: "POST" });
		assert.ok(!refused.ok);
		const crashed = await web.fetch("crash");
		assert.equal(crashed.status, 500);
		assert.doesNotMatch(await crashed.text(), /secret/);
		assert.equal((await web.read()).hits, 0);
	});

	test("carries bytes", async () => {
		const web = client.web.getOrCreate([key()]);
		const body = new Uint8Array(100_000).map((_, index) => index);
		const answer = await web.fetch("body", { method: "PUT", body });
		assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), body);
	});

	test("carries the connection's parameters", async () => {
		const web = client.web.getOrCreate([key()], { params: { name: "ada" } });
		const answer = await web.fetch("conn");
		assert.deepEqual(await answer.json(), { name: "ada", params: { name: "ada" } });
	});

	test("is refused by the hooks", async () => {
		const web = client.web.getOrCreate([key()], { params: { deny: "forbidden" } });
		assert.equal((await web.fetch("hit")).status, 403);
	});
});

describe("webSocket", () => {
	test("echoes text and bytes", { skip: textOnly }, async () => {
		const web = client.web.getOrCreate([key()]);
		const socket = open(await web.webSocket("echo"));
		assert.equal(await socket.next(), "hello from /websocket/echo");
		socket.send("Ünï 💙");
		assert.equal(await socket.next(), "Ünï 💙");
		socket.send(new Uint8Array([1, 2, 3]));
		assert.deepEqual([...new Uint8Array(await socket.next())], [3, 2, 1]);
		socket.close();
		await socket.ended;
	});

	test("shows the actor path, query and parameters", async () => {
		const web = client.web.getOrCreate([key()], { params: { name: "ada" } });
		for (const [path, seen] of [
			[undefined, "/websocket/"],
			["a/b?x=1", "/websocket/a/b?x=1"],
			["?y=2", "/websocket/?y=2"],
		]) {
			const socket = open(await web.webSocket(path));
			await socket.next();
			socket.send("url");
			assert.ok((await socket.next()).endsWith(seen));
			socket.send("state");
			assert.equal(await socket.next(), "ada 2");
			socket.close();
			await socket.ended;
		}
	});

	test("is closed by either side, with a code", { skip: noCodes }, async () => {
		const web = client.web.getOrCreate([key()]);
		const first = open(await web.webSocket());
		await first.next();
		first.send("close");
		const event = await first.ended;
		assert.deepEqual([event.code, event.reason], [4001, "as you wish"]);
		const second = open(await web.webSocket());
		await second.next();
		second.close(4321, "bye");
		const state = await eventually(() => web.read(), ({ closed }) => closed.length === 2);
		assert.ok(state.closed.includes(4321));
	});

	test("is closed with the reason of a refusal", { skip: noCodes }, async () => {
		const web = client.web.getOrCreate([key()], { params: { deny: "forbidden" } });
		const socket = open(await web.webSocket());
		const event = await socket.ended;
		assert.deepEqual([event.code, event.reason], [1011, "auth.forbidden"]);
	});

	test(`works whatever the client's encoding (${encoding})`, async () => {
		const web = client.web.getOrCreate([key()]);
		const socket = open(await web.webSocket("x"));
		await socket.next();
		for (let number = 0; number < 20; number += 1) socket.send(`n${number}`);
		for (let number = 0; number < 20; number += 1) assert.equal(await socket.next(), `n${number}`);
		socket.close();
		await socket.ended;
	});
});
