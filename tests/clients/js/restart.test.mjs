// A server that is restarted, on SQLite: nothing is lost and connections come back.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Ear, control, disposeAll, encoding, key, newClient } from "./support.mjs";

const client = newClient();
after(disposeAll);

async function restart(how) {
	const answer = await fetch(`${control}/${how}`, { method: "POST" });
	assert.equal(answer.status, 204, await answer.text());
}

for (const how of ["restart", "kill"]) {
	test(`connections survive a ${how} (${encoding})`, async () => {
		const room = client.room.getOrCreate([key()], { params: { name: "watcher" } });
		const conn = client.room.getOrCreate([(await room.resolve()) && key()]).connect({ name: "ada" });
		const heard = new Ear();
		const opened = new Ear();
		const closed = new Ear();
		conn.on("message", heard.listen);
		conn.onOpen(opened.listen);
		conn.onClose(closed.listen);
		assert.equal(await conn.say("before"), 1);
		const actorId = conn.actorId;
		await restart(how);
		await closed.wait();
		await opened.wait(2);
		assert.equal(conn.actorId, actorId);
		// A new connection: its state begins anew, the listener is there again.
		assert.equal(await conn.say("after"), 1);
		assert.deepEqual((await heard.wait(2)).map(({ text }) => text), ["before", "after"]);
		await conn.dispose();
	});

	test(`state survives a ${how} (${encoding})`, async () => {
		const counter = client.counter.getOrCreate([key()]);
		assert.equal(await counter.increment(5), 5);
		await restart(how);
		assert.equal(await counter.increment(), 6);
	});
}
