// What only the official client asks of a gateway: look-up, header routing, skipReadyWait, old frames.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { WebSocket } from "ws";
import { Ear, disposeAll, endpoint, key, newClient, refusal } from "./support.mjs";

after(disposeAll);

describe("metadata", () => {
	test("is looked up, or not", async () => {
		for (const disableMetadataLookup of [false, true]) {
			const client = newClient({ disableMetadataLookup });
			assert.equal(await client.counter.getOrCreate([key()]).increment(), 1);
		}
	});

	test("is below the serverless path too, as is everything else", async () => {
		const client = newClient({ endpoint: `${endpoint}/api/rivet` });
		const counter = client.counter.getOrCreate([key()]);
		assert.equal(await counter.increment(), 1);
		assert.equal((await counter.resolve()).length, 30);
		const conn = counter.connect();
		assert.equal(await conn.increment(), 2);
		await conn.dispose();
	});
});

describe("credentials", () => {
	test("in the endpoint are understood", async () => {
		const name = key();
		const client = newClient({ endpoint: endpoint.replace("://", `://ns-${name}:tok@`) });
		const counter = client.counter.getOrCreate([name]);
		assert.equal(await counter.increment(), 1);
		assert.equal(await client.counter.getForId(await counter.resolve()).increment(), 2);
		assert.equal(await newClient().counter.getOrCreate([name]).get(), 0);
	});
});

describe("skipReadyWait", () => {
	test("routes by headers and subprotocols", async () => {
		const client = newClient({ gateway: { skipReadyWait: true } });
		const id = await client.web.getOrCreate([key()]).resolve();
		const web = client.web.getForId(id);
		assert.equal((await (await web.fetch("a?x=1")).json()).query, "x=1");
		assert.equal((await web.read()).hits, 0);
		const socket = await web.webSocket("p");
		const heard = new Ear();
		socket.addEventListener("message", (event) => heard.listen(event.data));
		await heard.wait();
		socket.close();
		assert.deepEqual(heard.heard, ["hello from /websocket/p"]);
		const counterId = await client.counter.getOrCreate([key()]).resolve();
		const conn = client.counter.getForId(counterId).connect();
		assert.equal(await conn.increment(), 1);
		await conn.dispose();
	});

	test("is taken in a query", async () => {
		const client = newClient({ gateway: { skipReadyWait: true } });
		const counter = client.counter.getOrCreate([key()]);
		assert.equal(await counter.increment(), 1);
		const conn = counter.connect();
		assert.equal(await conn.increment(), 2);
		await conn.dispose();
	});
});

describe("gateway URLs", () => {
	test("of handles can be fetched", async () => {
		const counter = newClient().counter.getOrCreate([key()]);
		const url = new URL(await counter.getGatewayUrl());
		assert.equal(url.searchParams.get("rvt-method"), "getOrCreate");
		url.pathname += "/action/increment";
		const answer = await fetch(url, { method: "POST", body: '{"args":[3]}' });
		assert.deepEqual(await answer.json(), { output: 3 });
	});
});

describe("CORS", () => {
	test("lets any page in, with credentials", async () => {
		const origin = "https://app.example";
		for (const path of ["/metadata", "/actors?namespace=default", "/gateway/counter/action/get"]) {
			const asked = await fetch(endpoint + path, {
				method: "OPTIONS",
				headers: {
					origin,
					"access-control-request-method": "POST",
					"access-control-request-headers": "content-type,user-agent",
				},
			});
			assert.equal(asked.status, 204);
			assert.equal(asked.headers.get("access-control-allow-origin"), origin);
			assert.equal(asked.headers.get("access-control-allow-credentials"), "true");
			assert.equal(asked.headers.get("access-control-allow-headers"), "content-type,user-agent");
		}
	});
});

// Frames of clients from before 2.3, made by hand.
describe("client protocol 3", () => {
	const query = (name) =>
		`rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=${name}`;

	function call(name, body) {
		const url = `${endpoint}/gateway/counter/action/increment?${query(name)}`;
		const headers = { "x-rivet-encoding": "bare", "content-type": "application/octet-stream" };
		return fetch(url, { method: "POST", headers, body: Buffer.from(body, "hex") });
	}

	test("is answered in its own version over HTTP", async () => {
		// Version, length of the arguments, CBOR of [5]; the answer: version, length, CBOR of 5.
		for (const version of ["0100", "0200", "0300", "0400"]) {
			const answer = await call(key(), `${version}028105`);
			assert.equal(answer.status, 200);
			assert.equal(Buffer.from(await answer.arrayBuffer()).toString("hex"), `${version}0105`);
		}
	});

	test("gets errors without an actor", async () => {
		const url = `${endpoint}/gateway/failing/action/simple?${query(key())}`;
		const headers = { "x-rivet-encoding": "bare" };
		const answer = await fetch(url, { method: "POST", headers, body: Buffer.from("03000180", "hex") });
		const bytes = Buffer.from(await answer.arrayBuffer());
		assert.equal(bytes.subarray(0, 2).toString("hex"), "0300");
		const text = "Something is wrong.";
		// group, code, message, no metadata: and there it ends.
		assert.ok(bytes.toString("latin1").endsWith(`${text}\x00`));
	});

	test("is spoken over a socket after its first frame", async () => {
		const url = `${endpoint.replace("http", "ws")}/gateway/counter/connect?${query(key())}`;
		const socket = new WebSocket(url, ["rivet", "rivet_encoding.bare"]);
		const heard = new Ear();
		socket.on("message", (data) => heard.listen(data.toString("hex")));
		await heard.wait();
		assert.equal(socket.protocol, "rivet");
		// Subscribe to "changed", then ActionRequest 7 "increment" [2].
		const changed = Buffer.from("changed").toString("hex");
		const increment = Buffer.from("increment").toString("hex");
		socket.send(Buffer.from(`03000107${changed}01`, "hex"));
		socket.send(Buffer.from(`0300000709${increment}028102`, "hex"));
		await heard.wait(3);
		assert.deepEqual(heard.heard.slice(1), [`03000307${changed}028102`, "030002070102"]);
		socket.close();
	});
});

describe("sockets", () => {
	test("are always accepted, then closed with a reason", async () => {
		for (const [path, offer, reason] of [
			["/gateway/counter/connect?rvt-method=get", ["rivet", "rivet_encoding.json"], /^guard\.query_/],
			[`/gateway/${"0".repeat(30)}/connect`, ["rivet", "rivet_encoding.json"], /^actor\.not_found/],
			["/nowhere", ["rivet"], /^guard\.no_route/],
		]) {
			const socket = new WebSocket(endpoint.replace("http", "ws") + path, offer);
			const [code, why] = await new Promise((resolve, reject) => {
				socket.on("close", (number, text) => resolve([number, text.toString()]));
				socket.on("unexpected-response", () => reject(new Error("the upgrade was refused")));
			});
			assert.equal(code, 1011);
			assert.match(why, reason);
		}
	});

	test("of an unknown encoding are closed with 1003", async () => {
		const url = `${endpoint.replace("http", "ws")}/gateway/counter/connect?rvt-namespace=default`;
		const socket = new WebSocket(
			`${url}&rvt-method=getOrCreate&rvt-runner=default&rvt-key=${key()}`,
			["rivet", "rivet_encoding.yaml"],
		);
		const [code, why] = await new Promise((resolve) => {
			socket.on("close", (number, text) => resolve([number, text.toString()]));
		});
		assert.equal(code, 1003);
		assert.equal(why.split("#")[0], "actor.unsupported_websocket_encoding");
	});
});

describe("missing actors", () => {
	test("fail for get handles after a while only", async () => {
		const started = Date.now();
		await refusal(newClient().counter.get([key()]).get(), "actor.not_found");
		assert.ok(Date.now() - started > 1500);
	});
});
