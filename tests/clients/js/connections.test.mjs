// Connections and events, in the encoding that pytest names.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { disposeAll, Ear, eventually, key, newClient, oneProcess, refusal } from "./support.mjs";

const client = newClient();
after(disposeAll);

const ada = { name: "ada", role: "admin" };
const bob = { name: "bob" };

describe("events", () => {
	test("reach all that listen, and the caller before its answer", async () => {
		const name = key();
		const one = client.counter.getOrCreate([name]).connect();
		const two = client.counter.getOrCreate([name]).connect();
		const order = [];
		const heard = new Ear();
		one.on("changed", (count) => order.push(`event ${count}`));
		two.on("changed", heard.listen);
		await two.get();
		for (let number = 1; number <= 3; number += 1) {
			await one.increment();
			order.push(`answer ${number}`);
		}
		assert.deepEqual(order, [
			"event 1", "answer 1", "event 2", "answer 2", "event 3", "answer 3",
		]);
		assert.deepEqual(await heard.wait(3), [1, 2, 3]);
		await Promise.all([one.dispose(), two.dispose()]);
	});

	test("are caused by calls without a connection too", async () => {
		const counter = client.counter.getOrCreate([key()]);
		const conn = counter.connect();
		const heard = new Ear();
		conn.on("changed", heard.listen);
		await conn.get();
		await counter.increment(4);
		assert.deepEqual(await heard.wait(), [4]);
		await conn.dispose();
	});

	test("come once with once, and no more after unsubscribing", async () => {
		const conn = client.counter.getOrCreate([key()]).connect();
		const once = new Ear();
		const always = new Ear();
		const some = new Ear();
		conn.once("changed", once.listen);
		conn.on("changed", always.listen);
		const stop = conn.on("changed", some.listen);
		await conn.increment();
		stop();
		stop();
		await conn.increment();
		assert.deepEqual(await always.wait(2), [1, 2]);
		assert.deepEqual(once.heard, [1]);
		assert.deepEqual(some.heard, [1]);
		await conn.dispose();
	});

	test("have payloads of all shapes", async () => {
		const conn = client.room.getOrCreate([key()]).connect(ada);
		const [moved, tick, message, renamed, undeclared] = Array.from({ length: 5 }, () => new Ear());
		conn.on("moved", moved.listen);
		conn.on("tick", tick.listen);
		conn.on("message", message.listen);
		conn.on("special-event", renamed.listen);
		conn.on("undeclared", undeclared.listen);
		await conn.move(5, "north");
		await conn.tock();
		await conn.say("hi");
		await conn.rename("x");
		await conn.shout("undeclared", { deep: [1] }, 2);
		assert.deepEqual(moved.heard, [[5, "north"]]);
		assert.deepEqual(tick.heard, [[]]);
		assert.deepEqual(message.heard, [{ sender: "ada", text: "hi" }]);
		assert.deepEqual(renamed.heard, ["x"]);
		assert.deepEqual(undeclared.heard, [[{ deep: [1] }, 2]]);
		await conn.dispose();
	});

	test("that on_connect sends are heard", async () => {
		const conn = client.room.getOrCreate([key()]).connect(ada);
		const heard = new Ear();
		conn.on("welcome", heard.listen);
		assert.deepEqual(await heard.wait(), ["welcome ada"]);
		await conn.dispose();
	});

	test("can be sent to one connection", async () => {
		const name = key();
		const one = client.room.getOrCreate([name]).connect(ada);
		const two = client.room.getOrCreate([name]).connect(bob);
		const toOne = new Ear();
		const toTwo = new Ear();
		one.on("message", toOne.listen);
		two.on("message", toTwo.listen);
		await two.me();
		assert.equal(await one.tell(two.connectionId, "psst"), true);
		assert.deepEqual((await toTwo.wait())[0].text, "psst");
		assert.equal(await one.tellOthers("aloud"), 1);
		assert.deepEqual((await toTwo.wait(2))[1].text, "aloud");
		await one.me();
		assert.deepEqual(toOne.heard, []);
		await Promise.all([one.dispose(), two.dispose()]);
	});

	test("are not sent by what is rolled back", async () => {
		const conn = client.room.getOrCreate([key()]).connect(ada);
		const heard = new Ear();
		conn.on("message", heard.listen);
		await refusal(conn.sayAndFail("boo"), "user.never_mind");
		await conn.say("real");
		assert.deepEqual(heard.heard.map((message) => message.text), ["real"]);
		await conn.dispose();
	});

	test("are for those that may hear them", async () => {
		const name = key();
		const one = client.room.getOrCreate([name]).connect(ada);
		const secret = new Ear();
		one.on("secret", secret.listen);
		await one.whisper("gold");
		assert.deepEqual(secret.heard, ["gold"]);
		const two = client.room.getOrCreate([name]).connect(bob);
		await two.me();
		const errors = new Ear();
		two.onError(errors.listen);
		two.on("secret", assert.fail);
		await refusal(two.me(), "auth.forbidden");
		assert.equal((await errors.wait())[0].code, "forbidden");
		await Promise.all([one.dispose(), two.dispose()]);
	});

	test("that are too long close the connection, which comes back", async () => {
		const conn = client.room.getOrCreate([key()]).connect(ada);
		const errors = new Ear();
		const opened = new Ear();
		conn.onOpen(opened.listen);
		conn.onError(errors.listen);
		conn.on("message", () => {});
		await conn.me();
		await conn.sayLong(1100 * 1024).catch(() => {});
		assert.equal((await errors.wait())[0].code, "outgoing_too_long");
		await opened.wait(2);
		assert.equal((await conn.me()).name, "ada");
		await conn.dispose();
	});
});

describe("connections", () => {
	test("know their ids once they are open", async () => {
		const room = client.room.getOrCreate([key()]);
		const conn = room.connect(ada);
		await conn.ready;
		assert.equal(conn.actorId, await room.resolve());
		assert.equal((await conn.me()).id, conn.connectionId);
		await conn.dispose();
	});

	test("have a state of their own", async () => {
		const name = key();
		const one = client.room.getOrCreate([name]).connect(ada);
		const two = client.room.getOrCreate([name]).connect(bob);
		assert.equal(await one.say("a"), 1);
		assert.equal(await one.say("b"), 2);
		assert.equal((await two.me()).said, 0);
		assert.deepEqual(await one.members(), ["ada", "bob"]);
		await two.dispose();
		await eventually(() => one.members(), (members) => members.length === 1);
		await one.dispose();
	});

	test("keep it, and themselves, while the actor sleeps", async () => {
		const conn = client.room.getOrCreate([key()]).connect(ada);
		const opened = new Ear();
		conn.onOpen(opened.listen);
		await conn.say("a");
		const id = conn.connectionId;
		for (let round = 2; round <= 3; round += 1) {
			await conn.doze();
			assert.equal(await conn.say("b"), round);
		}
		assert.equal(conn.connectionId, id);
		assert.equal(opened.heard.length, 1);
		await conn.dispose();
	});

	test("tell their status", async () => {
		const conn = client.room.getOrCreate([key()]).connect(ada);
		const statuses = new Ear();
		const [opened, closed, unwanted] = Array.from({ length: 3 }, () => new Ear());
		conn.onStatusChange(statuses.listen);
		conn.onOpen(opened.listen);
		conn.onClose(closed.listen);
		conn.onStatusChange(unwanted.listen)();
		await conn.me();
		assert.equal(conn.connStatus, "connected");
		await conn.dispose();
		assert.equal(conn.connStatus, "idle");
		assert.ok(statuses.heard.includes("connected"));
		assert.equal(opened.heard.length, 1);
		assert.equal(closed.heard.length, 1);
		assert.deepEqual(unwanted.heard, []);
	});

	test("get their parameters anew for each opening", async () => {
		let made = 0;
		const getParams = async () => ({ name: `guest ${(made += 1)}` });
		const room = client.room.getOrCreate([key()], { getParams });
		for (const name of ["guest 1", "guest 2"]) {
			const conn = room.connect();
			assert.equal((await conn.me()).name, name);
			await conn.dispose();
		}
	});

	test("try again when their parameters could not be made", async () => {
		let tries = 0;
		const getParams = async () => {
			tries += 1;
			if (tries === 1) throw new Error("no token yet");
			return ada;
		};
		const conn = client.room.getOrCreate([key()], { getParams }).connect();
		const errors = new Ear();
		const opened = new Ear();
		conn.onError(errors.listen);
		conn.onOpen(opened.listen);
		await opened.wait();
		assert.equal((await conn.me()).name, "ada");
		assert.equal(errors.heard[0].code, "get_params_failed");
		await conn.dispose();
	});

	test("take parameters with any characters", async () => {
		const name = "Zoë \"quoted\", & 100 % 💙 日本";
		const conn = client.room.getOrCreate([key()]).connect({ name });
		assert.equal((await conn.me()).name, name);
		await conn.dispose();
	});

	test("that are refused say why and stay closed", async () => {
		for (const [refuse, name] of [
			["user", "user.not_welcome"],
			["state", "user.no_seat"],
			["connect", "user.thrown_out"],
		]) {
			const conn = client.room.getOrCreate([key()]).connect({ name: "eve", refuse });
			const errors = new Ear();
			conn.onError(errors.listen);
			await refusal(conn.me(), name);
			assert.equal(`${(await errors.wait())[0].group}.${errors.heard[0].code}`, name);
			assert.equal(conn.connStatus, "idle");
			await conn.dispose();
		}
	});

	test("that are refused by a crash learn nothing of it", async () => {
		const conn = client.room.getOrCreate([key()]).connect({ name: "eve", refuse: "crash" });
		const error = await conn.me().then(assert.fail, (reason) => reason);
		assert.doesNotMatch(String(error), /secret/);
		await conn.dispose();
	});

	test("answer out of order", { skip: oneProcess }, async () => {
		const conn = client.gated.getOrCreate([key()]).connect();
		const slow = conn.slow();
		await eventually(() => conn.waiting(), (count) => count === 1);
		assert.equal(await conn.fast(), "fast");
		await conn.open();
		assert.equal(await slow, "slow");
		await conn.dispose();
	});

	test("tell errors of actions and go on", async () => {
		const conn = client.failing.getOrCreate([key()]).connect();
		const error = await refusal(conn.detailed(), "user.bad_name");
		assert.deepEqual(error.metadata.limits, [1, 2]);
		await refusal(conn.internal(), "rivetkit.internal_error");
		await refusal(conn.nope(), "actor.action_not_found");
		assert.equal(await conn.works(), "fine");
		await conn.dispose();
	});

	test("run the hooks around them once", async () => {
		const room = client.room.getOrCreate([key()], { params: ada });
		const conn = room.connect(bob);
		await conn.me();
		await conn.dispose();
		const log = await eventually(
			() => room.logOfHooks(),
			(lines) => lines.some((line) => line.startsWith("disconnect:bob")),
		);
		const ofBob = log.filter((line) => line.includes("bob")).map((line) => line.split(":")[0]);
		assert.deepEqual(ofBob, ["before", "state", "connect", "disconnect"]);
	});

	test("can be closed by the actor, and come back as new ones", async () => {
		const name = key();
		const one = client.room.getOrCreate([name]).connect(ada);
		const two = client.room.getOrCreate([name]).connect(bob);
		const opened = new Ear();
		two.onOpen(opened.listen);
		await two.me();
		const first = two.connectionId;
		await one.kick(first, "enough");
		await opened.wait(2);
		assert.notEqual(two.connectionId, first);
		assert.equal((await two.me()).said, 0);
		await Promise.all([one.dispose(), two.dispose()]);
	});

	test("follow an actor that is destroyed", async () => {
		const counter = client.counter.getOrCreate([key()]);
		const conn = counter.connect();
		const opened = new Ear();
		conn.onOpen(opened.listen);
		await conn.increment(5);
		await counter.end();
		await opened.wait(2);
		assert.equal(await conn.get(), 0);
		await conn.dispose();
	});

	test("by id are refused for actors that are gone", async () => {
		const counter = client.counter.getOrCreate([key()]);
		const byId = client.counter.getForId(await counter.resolve());
		await counter.end();
		const conn = byId.connect();
		await refusal(conn.get(), "actor.not_found");
		assert.equal(conn.connStatus, "idle");
		await conn.dispose();
	});

	test("send what was asked before they were open, in order", async () => {
		const conn = client.counter.getOrCreate([key()]).connect();
		const heard = new Ear();
		conn.on("changed", heard.listen);
		const results = await Promise.all([1, 2, 3, 4].map(() => conn.increment()));
		assert.deepEqual(results.sort(), [1, 2, 3, 4]);
		assert.deepEqual(heard.heard, [1, 2, 3, 4]);
		await conn.dispose();
	});

	test("carry bigints and bytes both ways", async () => {
		const conn = client.calls.getOrCreate([key()]).connect();
		assert.equal(await conn.echo(2n ** 70n), 2n ** 70n);
		assert.deepEqual(await conn.echo([new Uint8Array([0, 255])]), [new Uint8Array([0, 255])]);
		await refusal(conn.repeat("x".repeat(1024), 1200), "message.outgoing_too_long");
		await conn.dispose();
	});

	test("send to queues nobody declared", async () => {
		const conn = client.counter.getOrCreate([key()]).connect();
		await conn.get();
		if (typeof conn.send === "function") await conn.send("jobs", { j: 1 });
		await conn.dispose();
	});
});
