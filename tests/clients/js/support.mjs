// What every file of tests shares. The server's address and the encoding come from pytest (test_js.py).
import assert from "node:assert/strict";
import { createClient } from "rivetkit/client";

export const endpoint = process.env.RIVETLESS_ENDPOINT;
export const encoding = process.env.RIVETLESS_ENCODING ?? "bare";
export const control = process.env.RIVETLESS_CONTROL;

// What API Gateway cannot do, and what has no place in a function's process, is skipped there.
const lambda = process.env.RIVETLESS_HOST === "lambda";
export const oneProcess = lambda && "each function has a process of its own";
export const textOnly = lambda && "API Gateway carries text only";
export const noCodes = lambda && "API Gateway closes without a code of ours";

const clients = new Set();
let keys = 0;

// A key that no other test uses.
export function key() {
	keys += 1;
	return `js-${encoding}-${process.pid}-${keys}`;
}

export function newClient(options = {}) {
	const client = createClient({ endpoint, encoding, ...options });
	clients.add(client);
	return client;
}

export async function disposeAll() {
	await Promise.all([...clients].map((client) => client.dispose()));
	clients.clear();
}

// Expect a promise to be rejected with an error of the server's; returns the error.
export async function refusal(promise, name) {
	let result;
	try {
		result = await promise;
	} catch (error) {
		assert.equal(`${error.group}.${error.code}`, name, String(error));
		return error;
	}
	assert.fail(`expected ${name}, got ${JSON.stringify(result)}`);
}

// Collects what a callback is given, and lets a test wait for it.
export class Ear {
	heard = [];
	#waiters = [];

	listen = (...args) => {
		this.heard.push(args.length === 1 ? args[0] : args);
		for (const check of this.#waiters.splice(0)) check();
	};

	async wait(count = 1) {
		while (this.heard.length < count) {
			await new Promise((resolve) => this.#waiters.push(resolve));
		}
		return this.heard;
	}
}

// Look until what is seen is what is wanted.
export async function eventually(look, wanted) {
	let seen;
	for (let tries = 0; tries < 400; tries += 1) {
		seen = await look();
		if (wanted(seen)) return seen;
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	assert.fail(`this is all that was seen: ${JSON.stringify(seen)}`);
}
