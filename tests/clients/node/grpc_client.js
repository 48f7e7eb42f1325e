"use strict";
// Calls a node by `@grpc/grpc-js`, which shares no code with the clients of other languages: `grpc_client.js ADDRESS
// PROTOS`, with the folder of the platform's .proto files. It ends with 0 if all is as it should be. The token comes by
// MICRO_NODE_TOKEN. A service `helloworld` is there.

const assert = require("node:assert/strict");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, protos] = process.argv.slice(2);
const PATIENCE = 20_000;
const AT_ONCE = 200;

const options = { includeDirs: [protos], keepCase: true, longs: String, defaults: true };
const { micro } = grpc.loadPackageDefinition(loader.loadSync("micro/v1/store.proto", options));
const insecure = grpc.credentials.createInsecure();
const store = new micro.v1.Store(address, insecure);

function metadata(pairs) {
  const metadata = new grpc.Metadata();
  for (const [key, value] of Object.entries(pairs)) metadata.set(key, value);
  return metadata;
}

const token = metadata({ authorization: `Bearer ${process.env.MICRO_NODE_TOKEN}` });

function call(client, method, request, { as = token, within = PATIENCE } = {}) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + within;
    client[method](request, as, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

async function refused(promise, code) {
  const error = await promise.then(() => assert.fail("it was answered"), (error) => error);
  assert.equal(grpc.status[error.code], code, error.message);
}

async function records() {
  const value = Buffer.from([0, 255, 1]);
  const { version } = await call(store, "Write", { key: "from-js", value });
  const { record } = await call(store, "Read", { key: "from-js" });
  assert.deepEqual([record.value, record.version, record.created], [value, version, version]);
  await refused(call(store, "Write", { key: "from-js", value, if_version: "0" }), "ABORTED");
  const listed = await call(store, "List", { range: { prefix: "from-" } });
  assert.deepEqual(listed.records.map(({ key }) => key), ["from-js"]);
}

/** Many calls on one connection, each answered with its own answer. */
async function concurrency() {
  const numbers = Array.from({ length: AT_ONCE }, (_, number) => number);
  await Promise.all(numbers.map((number) => call(store, "Write", { key: `many-${number}`, value: Buffer.from([number]) })));
  const read = await Promise.all(numbers.map((number) => call(store, "Read", { key: `many-${number}` })));
  assert.deepEqual(read.map(({ record }) => record.value[0]), numbers);
}

/** A stream that goes on tells what is written while it is open, and ends as cancelled when its reader leaves. */
async function watch() {
  const watching = store.Watch({ range: { prefix: "seen-" } }, token);
  const seen = [];
  const ended = new Promise((resolve) => watching.on("error", resolve));
  await new Promise((resolve, reject) => {
    watching.on("error", reject);
    watching.on("data", async ({ mark, changes }) => {
      if (mark && seen.length === 0) await call(store, "Write", { key: "seen-1", value: Buffer.from("a") });
      for (const change of changes?.changes ?? []) seen.push(change.key);
      if (seen.length > 0) resolve();
    });
  });
  watching.cancel();
  assert.equal((await ended).code, grpc.status.CANCELLED);
  assert.deepEqual(seen, ["seen-1"]);
}

async function credentials() {
  const read = (as) => call(store, "Read", { key: "from-js" }, { as });
  await refused(read(new grpc.Metadata()), "UNAUTHENTICATED");
  for (const wrong of ["Bearer wrong", "Bearer a.b.c", "Basic YTpi", "Bearer"]) {
    await refused(read(metadata({ authorization: wrong })), "UNAUTHENTICATED");
  }
}

/** A service of the SDK: its messages are JSON, and grpc-js knows nothing of it. */
async function service() {
  const text = (message) => Buffer.from(JSON.stringify(message));
  const json = (bytes) => JSON.parse(bytes.toString());
  const kind = { requestStream: false, responseStream: false, requestSerialize: text, responseDeserialize: json };
  const method = (name) => ({ ...kind, path: `/helloworld.Greeter/${name}`, responseSerialize: text, requestDeserialize: json });
  const Greeter = grpc.makeGenericClientConstructor({ call: method("Call"), nothing: method("Nothing") });
  const greeter = new Greeter(address, insecure);
  assert.deepEqual(await call(greeter, "call", { name: "Jane" }), { msg: "Hello Jane" });
  await refused(call(greeter, "call", { name: 7 }), "INVALID_ARGUMENT");
  await refused(call(greeter, "nothing", {}), "UNIMPLEMENTED");
  greeter.close();
}

/** A client that has no time left does not wait for an answer, and nobody answers it. */
async function deadlines() {
  await refused(call(store, "Read", { key: "from-js" }, { within: 0 }), "DEADLINE_EXCEEDED");
}

async function main() {
  for (const check of [records, concurrency, watch, credentials, service, deadlines]) {
    console.log(check.name);
    await check();
  }
  store.close();
}

main();
