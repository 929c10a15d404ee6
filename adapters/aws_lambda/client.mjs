// Talk to the deployed counter with the official client. API Gateway takes JSON only.
import { createClient } from "rivetkit/client";

const client = createClient({ endpoint: process.argv[2], encoding: "json" });
const counter = client.counter.getOrCreate(["my-counter"]);
console.log("returned:", await counter.increment());

const connection = counter.connect();
connection.on("changed", (count) => console.log("changed:", count));
console.log("returned:", await connection.increment(3));

await client.dispose();
