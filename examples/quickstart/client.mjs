// Talk to the counter with the official client: npm install rivetkit
import { createClient } from "rivetkit/client";

const client = createClient(process.argv[2] ?? "http://localhost:6420");
const connection = client.counter.getOrCreate(["my-counter"]).connect();

connection.on("changed", (count) => console.log("changed:", count));
console.log("returned:", await connection.increment(3));

await client.dispose();
