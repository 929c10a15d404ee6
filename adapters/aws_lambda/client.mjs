// Talk to the deployed counter with the official client. API Gateway takes JSON only.
import { createClient } from "rivetkit/client";

const client = createClient({ endpoint: process.argv[2], encoding: "json" });
const counter = client.counter.getOrCreate(["my-counter"]);

console.log("returned:", await counter.increment(3));
console.log("returned:", await counter.increment());

await client.dispose();
