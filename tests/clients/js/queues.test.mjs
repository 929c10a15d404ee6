// Sends to queues, with and without waiting, in the encoding that pytest names.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { disposeAll, eventually, key, newClient, refusal } from "./support.mjs";

const client = newClient();
after(disposeAll);

describe("queues", () => {
	test("take messages and keep their order", async () => {
		const mail = client.mail.getOrCreate([key()]);
		assert.equal(await mail.send("numbers", 1), undefined);
		await mail.send("notes", "two");
		await mail.send("anything", { a: [1, null, new Date(0)] });
		const taken = await mail.takeBatch([], 9, 0);
		assert.deepEqual(taken.map(([id, name]) => [id, name]), [
			[1, "numbers"],
			[2, "notes"],
			[3, "anything"],
		]);
	});

	test("answer who waits", async () => {
		const worker = client.worker.getOrCreate([key()]);
		const answer = await worker.send("tasks", { text: "four" }, { wait: true, timeout: 10_000 });
		assert.deepEqual(answer, { status: "completed", response: 4 });
		await worker.send("notes", "x");
		await eventually(() => worker.counted(), (count) => count === 2);
	});

	test("say when the time was over", async () => {
		const mail = client.mail.getOrCreate([key()]);
		const answer = await mail.send("notes", "a", { wait: true, timeout: 50 });
		assert.equal(answer.status, "timedOut");
		assert.equal((await mail.take([], 0))[2], "a");
	});

	test("nobody declared take everything", async () => {
		const mail = client.mail.getOrCreate([key()]);
		await mail.send("nothing", 1);
		const answer = await mail.send("nothing", 1, { wait: true });
		assert.equal(answer.status, "completed");
	});

	test("refuse what does not fit, and who may not", async () => {
		const tiny = client.tiny.getOrCreate([key()]);
		await tiny.send("notes", "a");
		const full = await refusal(tiny.send("notes", "b"), "queue.full");
		assert.equal(full.message, "Queue is full. Limit is 1 messages.");
		assert.deepEqual(full.metadata, { limit: 1 });
		await refusal(tiny.send("notes", "x".repeat(200)), "queue.message_too_large");
		const mail = client.mail.getOrCreate([key()]);
		await refusal(mail.send("numbers", "many"), "actor.validation_error");
		await refusal(mail.send("members", "x"), "auth.forbidden");
		const member = client.mail.getOrCreate([key()], { params: { member: true } });
		await member.send("members", "x");
	});
});
