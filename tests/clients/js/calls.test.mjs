// Calls without a connection, in the encoding that pytest names.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { disposeAll, encoding, eventually, key, newClient, oneProcess, refusal } from "./support.mjs";

const client = newClient();
after(disposeAll);

describe("actions", () => {
	test("return results and keep state", async () => {
		const counter = client.counter.getOrCreate([key()]);
		assert.equal(await counter.increment(5), 5);
		assert.equal(await counter.increment(), 6);
		assert.equal(await counter.get(), 6);
	});

	test("are found in groups, by path and by dotted name", async () => {
		const calls = client.calls.getOrCreate([key()]);
		assert.deepEqual(await calls.users.add("ada"), ["ada"]);
		assert.equal(await calls.users.findFirst(), "ada");
		assert.equal(await calls.users.members.count(), 1);
		assert.equal(await calls["users.findFirst"](), "ada");
		assert.equal(await calls.action({ name: "users.findFirst", args: [] }), "ada");
	});

	test("take defaults, keywords and any number of arguments", async () => {
		const calls = client.calls.getOrCreate([key()]);
		assert.equal(await calls.greet("Ada"), "Hello, Ada!");
		assert.equal(await calls.greet("Ada", undefined, { loud: true }), "HELLO, ADA!");
		assert.equal(await calls.total(1, 2, 3), 6);
		assert.equal(await calls.nothing(), null);
	});

	test("take and return models", async () => {
		const calls = client.calls.getOrCreate([key()]);
		assert.deepEqual(await calls.buy({ item: "tea", quantity: 3 }), {
			order: { item: "tea", quantity: 3 },
			total: 30,
		});
		const error = await refusal(calls.buy({ quantity: "x" }), "actor.validation_error");
		assert.deepEqual(error.metadata.issues[0].path, [0, "item"]);
	});

	test("of one actor overlap", { skip: oneProcess }, async () => {
		const gated = client.gated.getOrCreate([key()]);
		const slow = gated.slow();
		await eventually(() => gated.waiting(), (count) => count === 1);
		assert.equal(await gated.fast(), "fast");
		await gated.open();
		assert.equal(await slow, "slow");
	});

	test("in parallel are all kept", async () => {
		const counter = client.counter.getOrCreate([key()]);
		const seen = await Promise.all(Array.from({ length: 24 }, () => counter.increment()));
		assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 24 }, (_, i) => i + 1));
	});
});

describe("values", () => {
	const same = [
		null, true, false, 0, -1, 1.5, 2 ** 40, Number.MAX_SAFE_INTEGER, "", "Ünï 💙 \u0000",
		[], [1, [2, [3]]], {}, { a: { b: [null, false] } },
		["$x", 1], ["$", 1], { $x: 1 },
		// In CBOR the client writes tags natively and does not escape what looks like ours.
		...(encoding === "cbor" ? [] : [["$BigInt", "5"]]),
		new Uint8Array(), new Uint8Array([0, 255, 128]), { deep: [new Uint8Array([1])] },
		2n ** 70n, -(2n ** 64n), [2n ** 63n],
	];
	for (const [index, value] of same.entries()) {
		test(`number ${index} comes back`, async () => {
			const calls = client.calls.getOrCreate([`values-${encoding}`]);
			assert.deepEqual(await calls.echo(value), value);
		});
	}

	test("are what Python makes of them", async () => {
		const calls = client.calls.getOrCreate([key()]);
		assert.equal(await calls.kind(5n), "int");
		assert.equal(await calls.kind(5), "int");
		assert.equal(await calls.kind(5.5), "float");
		assert.equal(await calls.kind(new Uint8Array(2)), "bytes");
		assert.equal(await calls.kind(new ArrayBuffer(2)), "bytes");
		assert.equal(await calls.kind(undefined), "NoneType");
		assert.equal(await calls.kind(new Date()), encoding === "json" ? "str" : "datetime");
		assert.equal(await calls.kind(new Set([1])), encoding === "json" ? "dict" : "set");
	});

	test("of small bigints are numbers of the same value", async () => {
		const calls = client.calls.getOrCreate([key()]);
		assert.equal(BigInt(await calls.echo(5n)), 5n);
	});

	test("of dates are instants", async () => {
		const calls = client.calls.getOrCreate([key()]);
		const date = new Date("2024-05-06T07:08:09.123Z");
		const answer = await calls.echo(date);
		if (encoding === "bare") assert.ok(answer instanceof Date);
		assert.equal(new Date(answer).getTime(), date.getTime());
	});

	test("of sets are sets", { skip: encoding === "json" && "the client's JSON has none" }, async () => {
		const calls = client.calls.getOrCreate([key()]);
		assert.deepEqual(await calls.echo(new Set([1, "a"])), new Set([1, "a"]));
	});

	test("of maps are objects", { skip: encoding === "json" && "the client's JSON has none" }, async () => {
		const calls = client.calls.getOrCreate([key()]);
		assert.deepEqual(await calls.echo(new Map([["a", 1]])), { a: 1 });
	});

	test("of no number do not spoil an answer", async () => {
		const calls = client.calls.getOrCreate([key()]);
		const answer = await calls.echo([Number.NaN, Number.POSITIVE_INFINITY, "rest"]);
		assert.equal(answer[2], "rest");
		if (encoding === "bare") assert.deepEqual(answer.slice(0, 2), [Number.NaN, Infinity]);
	});

	test("in a typed state come back as they were", async () => {
		const profile = client.profile.getOrCreate([key()]);
		const picture = new Uint8Array([1, 2, 255]);
		await profile.put({ name: "é", picture, big: 2n ** 80n, tags: ["a"], scores: { x: 1 } });
		const back = await profile.get();
		assert.deepEqual(back.picture, picture);
		assert.equal(back.big, 2n ** 80n);
		assert.deepEqual(back.tags, new Set(["a"]));
		assert.deepEqual(back.scores, { x: 1 });
	});
});

describe("errors", () => {
	test("of the application say everything", async () => {
		const failing = client.failing.getOrCreate([key()]);
		const error = await refusal(failing.detailed(), "user.bad_name");
		assert.equal(error.message, "Bad name.");
		assert.deepEqual(error.metadata, { field: "name", limits: [1, 2], nested: { deep: true } });
		assert.equal((await refusal(failing.simple(), "user.user_error")).metadata ?? undefined, undefined);
	});

	test("of the inside say nothing", async () => {
		const failing = client.failing.getOrCreate([key()]);
		const error = await refusal(failing.internal(), "rivetkit.internal_error");
		assert.equal(error.message, "An internal error occurred");
		assert.equal((await refusal(failing.grouped(), "billing.card_declined")).metadata ?? null, null);
		assert.equal(await failing.works(), "fine");
	});

	test("name what is missing", async () => {
		const calls = client.calls.getOrCreate([key()]);
		const error = await refusal(calls.nope(), "actor.action_not_found");
		assert.match(error.message, /Action `nope` was not found/);
		await refusal(client.nobodyKnowsIt.getOrCreate([key()]).ping(), "actor.not_registered");
	});

	test("of slow actions say so", async () => {
		const impatient = client.impatient.getOrCreate([key()]);
		const error = await refusal(impatient.hang(), "actor.action_timed_out");
		assert.match(error.message, /timed out/i);
		assert.equal(await impatient.quick(), "done");
	});

	test("of long messages say so", async () => {
		const calls = client.calls.getOrCreate([key()]);
		const text = "x".repeat(48 * 1024);
		assert.equal(await calls.echo(text), text);
		await refusal(calls.length("x".repeat(90 * 1024)), "message.incoming_too_long");
		await refusal(calls.repeat("x".repeat(1024), 1200), "message.outgoing_too_long");
	});

	test("roll everything back", async () => {
		const counter = client.counter.getOrCreate([key()]);
		await counter.increment(3);
		const error = await refusal(counter.incrementAndRefuse(), "user.not_today");
		assert.deepEqual(error.metadata, { count: 4 });
		assert.equal(await counter.get(), 3);
	});
});

describe("actors", () => {
	test("are created once", async () => {
		const name = key();
		const created = await client.counter.create([name]);
		assert.equal(await created.increment(), 1);
		const error = await refusal(client.counter.create([name]), "actor.duplicate_key");
		assert.equal(error.metadata.existing_actor_id, await created.resolve());
	});

	test("are resolved, and reached by id", async () => {
		const counter = client.counter.getOrCreate([key(), "a/b", "ä"]);
		const id = await counter.resolve();
		assert.match(id, /^[0-9a-z]{30}$/);
		assert.equal(await client.counter.getForId(id).increment(2), 2);
		assert.equal(await counter.get(), 2);
		assert.equal(await counter.resolve(), id);
	});

	test("are not created by get", async () => {
		const name = key();
		await refusal(client.counter.get([name]).resolve(), "actor.not_found");
		await client.counter.getOrCreate([name]).increment();
		assert.equal(await client.counter.get([name]).get(), 1);
	});

	test("that are missing are waited for", async () => {
		const name = key();
		const waiting = client.counter.get([name]).get();
		await client.counter.getOrCreate([name]).increment(4);
		assert.equal(await waiting, 4);
	});

	test("take an input when they are made", async () => {
		const input = { name: "Ünï 💙", start: 7 };
		const name = key();
		const seeded = client.seeded.getOrCreate([name], { createWithInput: input });
		assert.deepEqual((await seeded.read()).made_from, input);
		const other = client.seeded.getOrCreate([name], { createWithInput: { name: "x" } });
		assert.deepEqual((await other.read()).seen_on_create, input);
		const created = await client.seeded.create([key()], { input });
		assert.deepEqual((await created.read()).made_from, input);
		await refusal(
			client.seeded.create([key()], { input: { name: "x", start: -1 } }),
			"user.bad_start",
		);
	});

	test("that are destroyed leave the key to a new one", async () => {
		const name = key();
		const counter = client.counter.getOrCreate([name]);
		await counter.increment(5);
		const id = await counter.resolve();
		await counter.end();
		assert.equal(await counter.get(), 0);
		// A handle remembers what it has resolved.
		assert.notEqual(await client.counter.getOrCreate([name]).resolve(), id);
		await refusal(client.counter.getForId(id).get(), "actor.not_found");
	});

	test("of other namespaces are others", async () => {
		const name = key();
		await client.counter.getOrCreate([name]).increment(5);
		const other = newClient({ namespace: `other-${name}` });
		assert.equal(await other.counter.getOrCreate([name]).get(), 0);
	});

	test("know their key", async () => {
		const parts = [key(), "b c", "d/e", "ä&?#%"];
		const ids = await client.life.getOrCreate(parts).ids();
		assert.deepEqual(ids.key, parts);
		assert.deepEqual((await client.life.getOrCreate(parts[0]).ids()).key, [parts[0]]);
	});

	test("may be singletons", async () => {
		const other = newClient({ namespace: `single-${key()}` });
		assert.equal(await other.counter.getOrCreate().increment(), 1);
		assert.equal(await other.counter.getOrCreate([]).increment(), 2);
	});
});

describe("parameters", () => {
	test("reach the hooks of a call", async () => {
		const room = client.room.getOrCreate([key()], { params: { name: "ada", role: "admin" } });
		assert.equal((await room.me()).name, "ada");
	});

	test("may hold characters that headers cannot", async () => {
		const params = { name: "Zoë \"quoted\" & 100 %" };
		const room = client.room.getOrCreate([key()], { params });
		assert.equal((await room.me()).name, params.name);
	});

	test("may refuse the call", async () => {
		const room = client.room.getOrCreate([key()], { params: { name: "eve", refuse: "user" } });
		const error = await refusal(room.me(), "user.not_welcome");
		assert.deepEqual(error.metadata, { who: "eve" });
	});
});

describe("queues nobody declared", () => {
	test("take messages and throw them away", async () => {
		const counter = client.counter.getOrCreate([key()]);
		await counter.send("jobs", { j: 1 });
		const answer = await counter.send("jobs", { j: 2 }, { wait: true, timeout: 3000 });
		assert.equal(answer.status, "completed");
		assert.equal(answer.response, undefined);
		assert.equal(await counter.get(), 0);
	});
});
